"""This service's part of what `manage.py why` tells: what was paid, and its code."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from admit_one.masking import mask
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.why.timeline import Step, Told, Wait, clock

from .models import Subscription

UNSEEN = (
    "What the student service did with it, and the mail: `manage.py why` there, "
    "or `make why ID=…` for both."
)


def tell(subject: str) -> Told:
    """What the subscription's own row says."""
    found = _find(subject)
    if found is None:
        return Told(unseen=[UNSEEN])
    paid = f"paid: {found.plan}, {found.amount} {found.currency} (minor units)"
    told = Told([Step(found.created_at, f"{paid}, client {found.client}")], unseen=[UNSEEN])
    if found.code_issued_at is not None:
        told.steps.append(Step(found.code_issued_at, "code issued, says the student service"))
    told.steps += _cancelled(found)
    if found.mail_failed_at is not None:
        reason = mask(found.mail_failure)
        told.steps.append(Step(found.mail_failed_at, f"mail given up: {reason}"))
        if found.cancelled_at is None:
            told.waits.append(
                Wait(
                    f"its mail was given up: {reason}",
                    "Nothing by itself; the code is good and shown by the API. The student service "
                    "sends again with `manage.py mails resend`.",
                    stuck=True,
                )
            )
    missing = _missing(found)
    if missing and not _unsent(subject):
        times = "once" if found.asked == 1 else f"{found.asked} times"
        told.waits.append(
            Wait(
                f"{missing}; it was asked for {times}, and the ask is out",
                f"It asks again at {clock(found.next_ask_at)}, without end.",
            )
        )
    return told


def _cancelled(found: Subscription) -> Iterator[Step]:
    if found.cancelled_at is not None:
        yield Step(found.cancelled_at, "cancelled")
    if found.code_revoked_at is not None:
        yield Step(found.code_revoked_at, "code revoked, says the student service")


def _missing(found: Subscription) -> str:
    """What it waits for; empty if for nothing."""
    if found.cancelled_at is not None:
        return "" if found.code_revoked_at else "no word yet that its code is revoked"
    return "no code yet" if found.access_code is None else ""


def _find(subject: str) -> Subscription | None:
    try:
        return Subscription.objects.filter(pk=UUID(subject)).first()
    except ValueError:
        return None


def _unsent(subject: str) -> bool:
    return OutboxMessage.objects.unsent().filter(subject=subject).exists()
