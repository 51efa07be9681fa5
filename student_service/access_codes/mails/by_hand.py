"""What operators decide about mails that did not simply arrive."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from admit_one.acts.models import Act
from admit_one.logs import EventLogger
from admit_one.masking import mask
from django.db import transaction

from access_codes.models import MailIntent

from . import finishing, writing

logger = EventLogger(__name__)

State = MailIntent.State

FINISH: Mapping[str, tuple[State, ...]] = {
    "sent": (State.UNKNOWN, State.PENDING, State.FAILED),
    "failed": (State.UNKNOWN, State.PENDING),
}
"""As what an operator may finish a mail, and the states from which that is possible."""

RESEND = (State.UNKNOWN, State.FAILED, State.SUPPRESSED)
"""The states of mails that an operator may have sent again."""


class NotPossible(Exception):
    """The mail does not exist, or its state does not allow this; the text is which."""


@transaction.atomic
def finish(intent_id: UUID, as_state: str, *, by: str, reason: str) -> None:
    """Finish a mail as `sent` or `failed` (see `FINISH`). Raises `NotPossible`."""
    intent = _locked(intent_id, f"finish --as {as_state}", FINISH[as_state])
    _record(intent, f"finish as {as_state}", by, reason)
    note = _noted(intent, f"finished as {as_state}", by, reason)
    if as_state == State.SENT:
        intent.sent(note)
    else:
        finishing.give_up(intent, intent.failed, note)


@transaction.atomic
def resend(intent_id: UUID, *, by: str, reason: str) -> None:
    """Make a mail due at once, with all its attempts before it. Raises `NotPossible`."""
    intent = _locked(intent_id, "resend", RESEND)
    _record(intent, "resend", by, reason)
    intent.resend(_noted(intent, "resent", by, reason))
    writing.wake_worker()


def _locked(intent_id: UUID, action: str, allowed: tuple[State, ...]) -> MailIntent:
    intent = MailIntent.objects.select_for_update().filter(pk=intent_id).first()
    if intent is None:
        raise NotPossible(f"there is no mail {intent_id}")
    if intent.state not in allowed:
        states = " or ".join(allowed)
        raise NotPossible(f"mail {intent_id} is {intent.state}: `{action}` is for {states}")
    return intent


def _record(intent: MailIntent, action: str, by: str, reason: str) -> None:
    """Keep who decided it and why, longer than the mail's own note."""
    Act.draft(
        "mails",
        action,
        by=by,
        reason=reason,
        target=intent.pk,
        subject=str(intent.access_code_id),
        facts={"message_id": intent.message_id, "state": intent.state},
        result="done",
    ).save()


def _noted(intent: MailIntent, what: str, by: str, reason: str) -> str:
    """Log the decision; returns it without addresses, to be kept with the mail."""
    note = mask(f"{what} by {by}: {reason}")
    logger.warning("mail_decided_by_hand", "mail {mail}: {note}", mail=intent.message_id, note=note)
    return note
