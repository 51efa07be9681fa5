"""The payment service's part of `manage.py why`: the subscription's own row."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from admit_one.masking import mask
from admit_one.messaging import OutboxMessage, Step, Wait, clock
from admit_one.webhooks import timeline as webhooks

from .models import Subscription

UNSEEN = (
    "What the student service did with it, and the mail: `manage.py why` there, "
    "or `make why ID=…` for both."
)


def of(subject: str) -> Iterator[Step | Wait | str]:
    yield UNSEEN
    subscription = _find(subject)
    if subscription is not None:
        yield from _steps(subscription)
        yield from _waits(subscription)
        yield from webhooks.of(subscription.pk)


def _find(subject: str) -> Subscription | None:
    try:
        return Subscription.objects.filter(pk=UUID(subject)).first()
    except ValueError:
        return None


def _steps(row: Subscription) -> Iterator[Step]:
    paid = f"paid: {row.plan}, {row.amount} {row.currency} (minor units)"
    order = f", order {row.order_id}" if row.order_id else ""
    yield Step(row.created_at, f"{paid}, client {row.client}{order}")
    if row.code_issued_at is not None:
        yield Step(row.code_issued_at, "code issued, the student service reports")
    if row.failed_at is not None:
        yield Step(row.failed_at, f"no code, the student service reports: {mask(row.failure)}")
    yield from _mails(row)
    if row.redeemed_at is not None:
        uses = "once" if row.uses_made == 1 else f"{row.uses_made} times"
        yield Step(row.redeemed_at, f"code redeemed, {uses} so far, the student service reports")
    if row.past_due_at is not None:
        yield Step(row.past_due_at, "past due")
    if row.suspended_at is not None:
        yield Step(row.suspended_at, "suspended, because it was past due for too long")
    if row.cancelled_at is not None:
        yield Step(row.cancelled_at, "cancelled")
    if row.refunded_at is not None:
        yield Step(row.refunded_at, "refunded")
    if row.code_revoked_at is not None:
        yield Step(row.code_revoked_at, "code revoked, the student service reports")


def _mails(row: Subscription) -> Iterator[Step]:
    if row.emailed_at is not None:
        yield Step(row.emailed_at, "mail accepted by the mail server, the student service reports")
    if row.resend_requested_at is not None:
        where = ", to a corrected address" if row.email_corrected else ""
        yield Step(row.resend_requested_at, f"asked to mail the code again{where}")
    if row.resend_answered_at is not None and row.resend_is_answered:
        done = f"refused: {mask(row.resend_refused)}" if row.resend_refused else "mail written"
        yield Step(row.resend_answered_at, f"mailing again, the student service reports: {done}")
    if row.expiring_soon_at is not None and row.is_expiring_soon:
        until = f"{row.valid_until:%Y-%m-%d %H:%M}Z"
        yield Step(
            row.expiring_soon_at, f"warned that it expires at {until}, the student service reports"
        )
    if row.mail_failed_at is not None:
        yield Step(row.mail_failed_at, f"mail given up: {mask(row.mail_failure)}")


def _waits(row: Subscription) -> Iterator[Wait]:
    if row.mail_failed_at is not None and row.cancelled_at is None:
        yield Wait(
            f"its mail was given up: {mask(row.mail_failure)}",
            "Nothing happens automatically. The code is valid, and the API shows it. To send the "
            "mail again, run `manage.py mails resend` in the student service.",
            stuck=True,
        )
    missing = _missing(row)
    if missing and not _unsent(row):
        times = "once" if row.requests == 1 else f"{row.requests} times"
        yield Wait(
            f"{missing}; requested {times}, and the last request was published",
            f"It is requested again at {clock(row.next_request_at)}, until the reply arrives.",
        )
    if row.resend_next_at is not None and not _unsent(row):
        yield Wait(
            "no answer yet to the request to mail the code again",
            f"It is requested again at {clock(row.resend_next_at)}, until the answer arrives.",
        )


def _missing(row: Subscription) -> str:
    """What it is waiting for; empty if nothing."""
    if row.cancelled_at is not None:
        return "" if row.code_revoked_at else "no confirmation yet that its code is revoked"
    if row.access_code is None:
        return "no code yet"
    if row.terms_applied < row.terms_version:
        return "no confirmation yet that its code works by the latest terms"
    return ""


def _unsent(row: Subscription) -> bool:
    return OutboxMessage.objects.unsent().filter(subject=str(row.id)).exists()
