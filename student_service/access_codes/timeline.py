"""This service's part of what `manage.py why` reports: the code, and its mails."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from admit_one.masking import mask
from admit_one.messaging import Report, Step, Wait, clock

from .models import AccessCode, MailIntent, Revocation

State = MailIntent.State

UNSEEN = (
    "Whether the payment service has the code: run `manage.py why` there, or `make why ID=…` for "
    "both. Whether the mail reached its mailbox: look for its Message-ID in the mail server's log."
)


def report(subject: str) -> Report:
    """What happened to the code and its mails, and what they wait for."""
    report = Report(unseen=[UNSEEN])
    try:
        subscription = UUID(subject)
    except ValueError:
        return report
    for revocation in Revocation.objects.filter(pk=subscription):
        report.steps.append(
            Step(revocation.revoked_at, "code revoked: its subscription was cancelled")
        )
    code = AccessCode.objects.filter(pk=subscription).first()
    if code is None:
        return report
    report.steps.append(Step(code.issued_at, f"code issued for the plan {code.plan}"))
    for mail in code.mails.order_by("created_at"):
        report.steps += _steps(mail)
        if not code.is_revoked:
            report.waits += _waits(mail)
    return report


def _steps(mail: MailIntent) -> Iterator[Step]:
    yield Step(mail.created_at, "mail written")
    if mail.tried_at is not None and mail.tried_at != mail.sent_at:
        yield Step(mail.tried_at, f"mail attempted, attempt {mail.attempts}")
    if mail.sent_at is not None:
        yield Step(mail.sent_at, f"mail taken by the mail server as {mail.message_id}")


def _waits(mail: MailIntent) -> Iterator[Wait]:
    """What an unfinished mail waits for, or why it will not come."""
    due = clock(mail.next_attempt_at) if mail.next_attempt_at else ""
    error = mask(mail.last_error)
    if mail.state == State.PENDING and not mail.attempts:
        yield Wait("its mail waits to be sent", f"A Celery worker sends it; it is due at {due}.")
    elif mail.state == State.PENDING:
        yield Wait(
            f"its mail could not be sent, attempt {mail.attempts}: {error}",
            f"A Celery worker tries again at {due}.",
        )
    elif mail.state == State.SENDING:
        yield Wait(
            "its mail is being sent",
            f"If the worker that sends it has died, another tries again at {due}.",
        )
    elif mail.state == State.UNKNOWN:
        yield _doubt(mail, due, error)
    elif mail.state in {State.FAILED, State.SUPPRESSED}:
        yield Wait(
            f"its mail {'failed' if mail.state == State.FAILED else 'was held back'}: {error}",
            "Nothing happens by itself. The code is good, and the payment API shows it. To send "
            f"the mail again: `manage.py mails resend {mail.pk} --reason …`.",
            stuck=True,
        )


def _doubt(mail: MailIntent, due: str, error: str) -> Wait:
    if due:
        then = f"A Celery worker sends it again at {due}, with the same Message-ID."
    else:
        then = (
            "Nothing happens by itself. Look for its Message-ID in the mail server's log; then "
            f"`manage.py mails finish {mail.pk} --as sent --reason …`, or `mails resend …`."
        )
    return Wait(f"its mail may have been sent or not: {error}", then, stuck=not due)
