"""What `manage.py why` reports on the student side."""

from __future__ import annotations

import pytest
from access_codes.mails import stops
from access_codes.models import AccessCode, MailIntent
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.testing import an_envelope, deliver
from admit_one.messaging.why import timeline
from django.utils import timezone
from shared_contracts.events import UserSubscribed

pytestmark = pytest.mark.django_db(transaction=True)

State = MailIntent.State


@pytest.fixture
def mail() -> MailIntent:
    """The mail of a new code whose reply is published."""
    deliver(an_envelope(UserSubscribed, email="ada@example.com"))
    OutboxMessage.objects.update(published_at=timezone.now())
    return MailIntent.objects.get()


def timeline_of(mail: MailIntent) -> timeline.Timeline:
    return timeline.of(str(mail.access_code_id))


def test_a_mailed_code_waits_for_nothing_and_neither_code_nor_address_is_shown(
    mail: MailIntent,
) -> None:
    MailIntent.objects.claim([mail], 16)
    mail.sent()
    answer = timeline_of(mail)

    whats = "\n".join(step.what for step in answer.steps)
    assert answer.waits == []
    for what in ("user_subscribed handled", "code issued", "mail written", "mail accepted by"):
        assert what in whats
    assert AccessCode.objects.get().code not in whats
    assert "ada@example.com" not in whats


def test_a_deferred_mail_shows_its_error_and_the_next_attempt(
    mail: MailIntent,
) -> None:
    MailIntent.objects.claim([mail], 16)
    mail.defer("450 ada@example.com: mailbox busy", 60)

    [wait] = timeline_of(mail).waits

    assert wait.why == "its mail could not be sent, attempt 1: 450 a…@e….com: mailbox busy"
    assert wait.then.startswith("A Celery worker tries again at ")


@pytest.mark.parametrize(
    ("state", "why", "stuck"),
    [
        (State.PENDING, "its mail waits to be sent", False),
        (State.SENDING, "its mail is being sent", False),
        (State.UNKNOWN, "its mail may or may not have been sent", False),
        (State.FAILED, "its mail failed", True),
        (State.SUPPRESSED, "its mail was suppressed", True),
    ],
)
def test_each_state_of_a_mail_is_explained(
    mail: MailIntent, state: MailIntent.State, why: str, stuck: bool
) -> None:
    MailIntent.objects.update(state=state)

    [wait] = timeline_of(mail).waits

    assert wait.why.startswith(why)
    assert wait.stuck == stuck


def test_a_mail_left_to_an_operator_is_shown_with_the_command_to_finish_it(
    mail: MailIntent,
) -> None:
    mail.doubt("the connection broke", None)

    [wait] = timeline_of(mail).waits

    assert wait.stuck
    assert f"manage.py mails finish {mail.pk} --as" in wait.then


def test_a_bounce_is_shown_with_what_to_do_until_it_is_lifted(mail: MailIntent) -> None:
    MailIntent.objects.claim([mail], 16)
    mail.sent(provider_id="<pm-1@provider.example>")
    mail.note(MailIntent.Reported.COMPLAINED)

    answer = timeline_of(mail)
    whats = "\n".join(step.what for step in answer.steps)
    assert "by the provider, which calls it <pm-1@provider.example>: was reported as spam" in whats
    [wait] = answer.waits
    assert wait.stuck
    assert wait.why == (
        "its mailbox gets no more mails: its recipient reported an earlier mail as spam"
    )

    stops.lift(mail)
    answer = timeline_of(mail)
    assert answer.waits == []
    assert "allowed again by an operator" in "\n".join(step.what for step in answer.steps)
