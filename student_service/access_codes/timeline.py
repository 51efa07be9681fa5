"""This service's part of what `manage.py why` tells: the code, and its mails."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from admit_one.masking import mask
from admit_one.messaging.why.timeline import Step, Told, Wait, clock

from .models import AccessCode, MailIntent, Revocation

State = MailIntent.State

UNSEEN = (
    "Whether the payment service has the code: `manage.py why` there, or `make why ID=…` for "
    "both. And whether the mail reached its mailbox: ask the mail server's log for its Message-ID."
)


def tell(subject: str) -> Told:
    """What the rows of the code and of its mails say."""
    told = Told(unseen=[UNSEEN])
    try:
        subscription = UUID(subject)
    except ValueError:
        return told
    for revocation in Revocation.objects.filter(pk=subscription):
        told.steps.append(Step(revocation.revoked_at, "code revoked, as it was cancelled"))
    found = AccessCode.objects.filter(pk=subscription).first()
    if found is None:
        return told
    told.steps.append(Step(found.issued_at, f"code issued for {found.plan}"))
    for intent in found.mails.order_by("created_at"):
        told.steps += _steps(intent)
        if not found.is_revoked:
            told.waits += _waits(intent)
    return told


def _steps(intent: MailIntent) -> Iterator[Step]:
    yield Step(intent.created_at, "mail written")
    if intent.tried_at is not None and intent.tried_at != intent.sent_at:
        yield Step(intent.tried_at, f"mail tried, attempt {intent.attempts}")
    if intent.sent_at is not None:
        yield Step(intent.sent_at, f"mail taken by the mail server as {intent.message_id}")


def _waits(intent: MailIntent) -> Iterator[Wait]:
    """What an unsettled mail waits for, or why it will not come."""
    due = clock(intent.next_attempt_at) if intent.next_attempt_at else ""
    error = mask(intent.last_error)
    if intent.state == State.PENDING and not intent.attempts:
        yield Wait("its mail waits to be sent", f"A Celery worker sends it, due {due}.")
    elif intent.state == State.PENDING:
        yield Wait(
            f"its mail was refused at attempt {intent.attempts}: {error}",
            f"A Celery worker tries again at {due}.",
        )
    elif intent.state == State.SENDING:
        yield Wait("its mail is being sent", f"If its worker has died, that is noticed at {due}.")
    elif intent.state == State.UNKNOWN:
        yield Wait(
            f"nobody knows whether its mail was sent: {error}",
            f"It is sent again at {due}, with the same Message-ID."
            if due
            else f"Nothing by itself: `manage.py mails settle {intent.pk} --as …`.",
            stuck=not due,
        )
    elif intent.state in {State.FAILED, State.SUPPRESSED}:
        yield Wait(
            f"its mail {'failed' if intent.state == State.FAILED else 'was held back'}: {error}",
            f"Nothing by itself: `manage.py mails settle {intent.pk} --as send-again`; "
            "the code is good, and the payment API shows it.",
            stuck=True,
        )
