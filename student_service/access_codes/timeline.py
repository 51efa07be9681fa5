"""The student service's part of `manage.py why`: the code and its mails."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from admit_one.masking import mask, one_line
from admit_one.messaging import Step, Wait, clock
from admit_one.webhooks import timeline as webhooks

from .mails import stops
from .models import AccessCode, MailIntent, Revocation

State = MailIntent.State

UNSEEN = (
    "Whether the payment service has the code: run `manage.py why` there, or `make why ID=…` for "
    "both. Whether the mail reached the mailbox: look for its Message-ID in the mail server's log."
)


def of(subject: str) -> Iterator[Step | Wait | str]:
    yield UNSEEN
    try:
        subscription = UUID(subject)
    except ValueError:
        return
    for revocation in Revocation.objects.filter(pk=subscription):
        by = "its subscription was cancelled" if revocation.cancelled_at else "by an operator"
        yield Step(revocation.revoked_at, f"code revoked: {by}")
    code = AccessCode.objects.filter(pk=subscription).first()
    if code is None:
        return
    stop = stops.of_codes([subscription]).get(subscription)
    if stop is not None:
        yield Wait(
            f"its mailbox gets no more mails: {stops.WHY[stop.why]}",
            "Nothing happens automatically. Correct the address, or let mails go there again: "
            "`manage.py mails list --stopped`, then `mails lift ID --reason …`.",
            stuck=True,
        )
    yield Step(code.issued_at, f"code issued for the plan {code.plan}")
    yield from webhooks.of(subscription)
    for mail in code.mails.order_by("created_at"):
        yield from _steps(mail)
        if not code.is_revoked:
            yield from _waits(mail)


def _steps(mail: MailIntent) -> Iterator[Step]:
    yield Step(mail.created_at, f"mail written: {MailIntent.Kind(mail.kind).label}")
    if mail.state == State.WITHHELD:
        yield Step(mail.created_at, f"mail withheld: {mask(mail.last_error)}")
    if mail.tried_at is not None and mail.tried_at != mail.sent_at:
        yield Step(mail.tried_at, f"mail attempted, attempt {mail.attempts}")
    if mail.sent_at is not None:
        yield Step(mail.sent_at, f"mail accepted by the mail server as {mail.message_id}")
    if mail.reported_at is not None:
        name = f", which calls it {one_line(mail.provider_id)}" if mail.provider_id else ""
        what = MailIntent.Reported(mail.reported).label
        yield Step(mail.reported_at, f"mail reported by the provider{name}: {what}")
    if mail.lifted_at is not None:
        yield Step(mail.lifted_at, "mails to this mailbox allowed again by an operator")


def _waits(mail: MailIntent) -> Iterator[Wait]:
    """What an unfinished mail is waiting for, or why it will not arrive."""
    due = clock(mail.next_attempt_at) if mail.next_attempt_at else ""
    error = mask(mail.last_error)
    if mail.state == State.PENDING and not mail.attempts:
        since = f": {error}" if error else ""
        yield Wait(f"its mail waits to be sent{since}", f"A Celery worker sends it at {due}.")
    elif mail.state == State.PENDING:
        yield Wait(
            f"its mail could not be sent, attempt {mail.attempts}: {error}",
            f"A Celery worker tries again at {due}.",
        )
    elif mail.state == State.SENDING:
        yield Wait(
            "its mail is being sent",
            f"If its worker has died, another one tries again at {due}.",
        )
    elif mail.state == State.UNKNOWN:
        yield _doubt(mail, due, error)
    elif mail.state in {State.FAILED, State.SUPPRESSED}:
        yield Wait(
            f"its mail {'failed' if mail.state == State.FAILED else 'was suppressed'}: {error}",
            "Nothing happens automatically. The code is valid, and the payment API shows it. To "
            f"send the mail again: `manage.py mails resend {mail.pk} --reason …`.",
            stuck=True,
        )


def _doubt(mail: MailIntent, due: str, error: str) -> Wait:
    if due:
        then = f"A Celery worker sends it again at {due}, with the same Message-ID."
    else:
        then = (
            "Nothing happens automatically. Look for its Message-ID in the mail server's log; then "
            f"`manage.py mails finish {mail.pk} --as sent --reason …`, or `mails resend …`."
        )
    return Wait(f"its mail may or may not have been sent: {error}", then, stuck=not due)
