"""Operators finish or resend mails that failed or are in doubt."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from admit_one.acts.models import Act
from admit_one.logs import EventLogger
from admit_one.masking import mask
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Coalesce

from access_codes.models import MailIntent

from . import finishing, stops

logger = EventLogger(__name__)

State = MailIntent.State

FINISH: Mapping[str, tuple[State, ...]] = {
    "sent": (State.UNKNOWN, State.PENDING, State.FAILED),
    "failed": (State.UNKNOWN, State.PENDING),
}
"""The outcomes that an operator may record, each with the states in which that is possible."""

REPORTED = "given up by an operator"
"""All that clients are shown of such a decision: names and reasons stay here."""

RESEND = (State.UNKNOWN, State.FAILED, State.SUPPRESSED, State.WITHHELD)
"""The states of mails that can be resent."""


class NotPossible(Exception):
    """The mail does not exist, or its state does not allow this."""


def chosen(
    state: str, *, error: str = "", since: datetime | None = None, until: datetime | None = None
) -> QuerySet[MailIntent]:
    """The mails in a state, whose last error contains `error`, last tried in that time.

    Those that were never tried count by the time at which they were written.
    """
    mails = MailIntent.objects.in_state(state).annotate(last_at=Coalesce("tried_at", "created_at"))
    if error:
        mails = mails.filter(last_error__icontains=error)
    if since is not None:
        mails = mails.filter(last_at__gte=since)
    if until is not None:
        mails = mails.filter(last_at__lt=until)
    return mails


@transaction.atomic
def finish(intent_id: UUID, as_state: str, *, by: str | None, reason: str) -> None:
    """Finish a mail as `sent` or `failed`. `by` defaults to the login name.

    Raises `NotPossible`.
    """
    intent = _locked(intent_id, f"finish --as {as_state}", FINISH[as_state])
    note = _decide(intent, f"finish as {as_state}", f"finished as {as_state}", by, reason)
    if as_state == State.SENT:
        finishing.finish_as_sent(intent, note)
    else:
        finishing.give_up(intent, intent.failed, note, reported=REPORTED)


@transaction.atomic
def resend(intent_id: UUID, *, by: str | None, reason: str) -> None:
    """Make a mail due at once, with its attempts counted from 0. Raises `NotPossible`.

    The caller wakes the worker, once for all mails.
    """
    intent = _locked(intent_id, "resend", RESEND)
    if intent.has_stop:
        raise NotPossible(f"mail {intent_id}: its mailbox is stopped; see `mails lift`")
    intent.resend(_decide(intent, "resend", "resent", by, reason))


@transaction.atomic
def lift(intent_id: UUID, *, by: str | None, reason: str) -> None:
    """Let mails go to the mailbox of this mail again. Raises `NotPossible`."""
    intent = MailIntent.objects.select_for_update().filter(pk=intent_id).first()
    if intent is None:
        raise NotPossible(f"there is no mail {intent_id}")
    if not stops.lift(intent):
        raise NotPossible(f"mail {intent_id}: its mailbox is not stopped")
    _decide(intent, "lift", "lifted", by, reason)


def _locked(intent_id: UUID, action: str, allowed: tuple[State, ...]) -> MailIntent:
    intent = MailIntent.objects.select_for_update().filter(pk=intent_id).first()
    if intent is None:
        raise NotPossible(f"there is no mail {intent_id}")
    if intent.state not in allowed:
        states = " or ".join(allowed)
        raise NotPossible(f"mail {intent_id} is {intent.state}: `{action}` needs {states}")
    return intent


def _decide(intent: MailIntent, action: str, done: str, by: str | None, reason: str) -> str:
    """Record who decided it and why; returns the note for the mail."""
    act = Act.draft(
        "mails",
        action,
        by=by,
        reason=reason,
        target=intent.pk,
        subject=str(intent.access_code_id),
        facts={
            "message_id": intent.message_id,
            "state": intent.state,
            "last_error": intent.last_error,
            "reported": intent.reported,
            "sent_at": intent.sent_at and intent.sent_at.isoformat(),
        },
        result="done",
    )
    act.save()
    note = mask(f"{done} by {act.by}: {reason}")
    logger.warning("mail_decided_by_hand", "mail {mail}: {note}", mail=intent.message_id, note=note)
    return note
