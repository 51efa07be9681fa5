"""Claims the mails that are due, several in one transaction: no two workers send the same mail."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from django.conf import settings

from access_codes.models import MailIntent

from . import again, finishing, kinds, lease, stops, withholding
from .attempt import Attempt, Ending

State = MailIntent.State

WORKER_DIED = Attempt(Ending.LOST, "the worker that was sending it died")
FIRST_PAUSE_AFTER_DEATH = 1.0
"""Seconds; short, because the dead worker's lease was a pause already."""


class CannotBeHandled(Exception):
    """A fault of ours, its cause, is met by this mail; the transaction must be rolled back."""

    def __init__(self, intent: MailIntent) -> None:
        super().__init__(intent.message_id)
        self.intent = intent


def take(most: int, *, but: Collection[UUID] = ()) -> tuple[Sequence[MailIntent], bool]:
    """Claim up to `most` mails that are due; also whether others may be.

    Mails that must not be sent now are finished instead. Those with the ids in `but` are left
    alone: this worker has them in hand. Runs in a transaction. Raises `CannotBeHandled`.
    """
    due = MailIntent.objects.take(most, cap=settings.MAIL_DAILY_CAP)
    claimed: dict[bytes, MailIntent] = {}
    for intent in due:
        mailbox = bytes(intent.recipient_hash)
        # One at a time to a mailbox: whether it has reached its cap shows when this one is claimed.
        if intent.pk not in but and mailbox not in claimed and _may_be_sent(intent):
            claimed[mailbox] = intent
    withdrawn = [intent for intent in due if intent.state == State.WITHDRAWN]
    finishing.look_again([each.access_code_id for each in withdrawn if not each.has_code])
    MailIntent.objects.claim(claimed.values(), lease.seconds())
    return list(claimed.values()), len(due) == most


def _may_be_sent(intent: MailIntent) -> bool:
    """Whether to send it now; if not, it is recorded why. Raises `CannotBeHandled`."""
    try:
        return not _is_finished(intent)
    except Exception as error:
        raise CannotBeHandled(intent) from error


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
