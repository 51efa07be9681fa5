"""Claims the mails that are due, several in one transaction: no two workers send the same mail."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from admit_one.database.outage import DATABASE_ERRORS
from django.conf import settings
from django.db import connection, transaction

from access_codes.models import MailIntent

from . import again, faults, finishing, kinds, lease, stops, withholding
from .attempt import Attempt, Ending

State = MailIntent.State

WORKER_DIED = Attempt(Ending.LOST, "the worker that was sending it died")
FIRST_PAUSE_AFTER_DEATH = 5.0
"""Seconds. The dead worker's lease was a pause already; one that lives, and has only lost its
database for a while, can still say in this time how the mail ended."""


class Claimed(NamedTuple):
    """Mails to send, what became of other rows that were due, and whether more may be due."""

    mails: Sequence[MailIntent] = ()
    some_went: bool = False
    """Whether rows that were no mails to send now are due no more."""
    more: bool = False


def take(most: int, *, but: Collection[UUID] = ()) -> Claimed:
    """Claim up to `most` mails that are due.

    Mails that must not be sent now are finished instead, and those that meet a fault of ours put
    off. Those with the ids in `but` are left alone: this worker has them in hand. Runs in a
    transaction.
    """
    due = MailIntent.objects.take(most, cap=settings.MAIL_DAILY_CAP)
    claimed: dict[bytes, MailIntent] = {}
    some_went = False
    for intent in due:
        mailbox = bytes(intent.recipient_hash)
        # One at a time to a mailbox: whether it has reached its cap shows when this one is claimed.
        if intent.pk in but or mailbox in claimed:
            continue
        if _may_be_sent(intent):
            claimed[mailbox] = intent
        else:
            some_went = True
    withdrawn = [intent for intent in due if intent.state == State.WITHDRAWN]
    finishing.look_again([each.access_code_id for each in withdrawn if not each.has_code])
    MailIntent.objects.claim(claimed.values(), lease.seconds())
    return Claimed([*claimed.values()], some_went, len(due) == most)


def _may_be_sent(intent: MailIntent) -> bool:
    """Whether to send it now; if not, it is recorded why. A fault of ours costs no other mail."""
    if _is_plain(intent):
        return True
    for is_last in (False, True):  # a deadlock is nobody's fault, if it does not come again
        try:
            with transaction.atomic():
                return not _is_finished(intent)
        except Exception as error:
            if connection.needs_rollback:  # the savepoint could not end it: the database is away
                raise
            if is_last or not isinstance(error, DATABASE_ERRORS):
                faults.log(intent, error)
                break
    MailIntent.objects.put_off(intent, faults.PAUSE)
    return False


def _is_plain(intent: MailIntent) -> bool:
    """Whether nothing but its row decides, and lets it be sent: so it is with most mails."""
    return (
        intent.state == State.PENDING
        and intent.tried_at is None
        and intent.kind in kinds.WITH_A_CODE
        and not (intent.access_code.is_revoked or intent.access_code.test)
        and not (intent.stopped or intent.capped)
    )


def _is_finished(intent: MailIntent) -> bool:
    if intent.state == State.SENDING:
        finishing.finish(intent, WORKER_DIED, first_pause=FIRST_PAUSE_AFTER_DEATH)
    elif reason := kinds.of(intent).why_withdrawn(intent) or again.why_withdrawn(intent):
        finishing.withdraw(intent, reason)
    elif withholding.must_withhold(intent):
        finishing.withhold(intent, withholding.WHY)
    elif intent.stopped:
        finishing.stop(intent, stops.WHY[intent.stopped])
    elif intent.capped:
        finishing.over_cap(intent)
    else:
        return False
    return True
