"""What operators see of mails, and what they may decide about them."""

from __future__ import annotations

from io import StringIO

import pytest
from access_codes.mails import by_hand, sending
from access_codes.models import MailIntent
from admit_one.acts.models import Act
from admit_one.messaging.testing import an_envelope, deliver, published
from admit_one.sealing.canaries import WrongKey, canary
from admit_one.sealing.models import KeyCanary
from django.core.management import CommandError, call_command
from django.utils import timezone
from shared_contracts.events import AccessCodeUndeliverable, UserSubscribed

from tests.mails.smtp_server import Mailbox

pytestmark = pytest.mark.django_db
State = MailIntent.State


@pytest.fixture
def intent() -> MailIntent:
    """A mail that may have been sent or not, and waits for an operator."""
    deliver(an_envelope(UserSubscribed, email="ada@example.com"))
    intent = MailIntent.objects.get()
    intent.claim(lease=60)
    intent.doubt("the worker that was sending it ended", pause=None)
    return intent


def mails(*arguments: str) -> str:
    out = StringIO()
    call_command("mails", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def decide(intent: MailIntent, *decision: str) -> str:
    action, *options = decision
    return mails(action, str(intent.pk), *options, "--by", "bo", "--reason", "her mailbox was full")


def test_the_list_counts_each_state_and_shows_no_address(intent: MailIntent) -> None:
    assert "unknown            1" in mails("list")
    listed = mails("list", "--state", "unknown")
    assert str(intent.pk) in listed
    assert "ada@" not in listed
    assert mails("list", "--state", "failed") == "no mail is failed\n"


def test_a_mail_finished_as_sent_is_not_sent_again(intent: MailIntent, mailbox: Mailbox) -> None:
    decide(intent, "finish", "--as", "sent")
    sending.send_due_mails(lambda: True)

    intent.refresh_from_db()
    assert (intent.state, intent.last_error) == (
        State.SENT,
        "finished as sent by bo: her mailbox was full",
    )
    assert mailbox.mails == []


def test_a_resent_mail_keeps_its_message_id(intent: MailIntent, mailbox: Mailbox) -> None:
    decide(intent, "resend")
    sending.send_due_mails(lambda: True)

    intent.refresh_from_db()
    assert (intent.state, intent.attempts, intent.doubts) == (State.SENT, 1, 1)
    assert [mail["Message-ID"] for mail in mailbox.mails] == [intent.message_id]


def test_a_mail_finished_as_failed_is_reported_to_the_payment_side(intent: MailIntent) -> None:
    decide(intent, "finish", "--as", "failed")

    intent.refresh_from_db()
    [report] = [m.data for m in published() if isinstance(m.data, AccessCodeUndeliverable)]
    assert (intent.state, intent.next_attempt_at) == (State.FAILED, None)
    assert (report.subscription_id, report.reason) == (intent.access_code_id, intent.last_error)


@pytest.mark.parametrize(
    "decision", [("resend",), *(("finish", "--as", state) for state in by_hand.FINISH)]
)
def test_a_mail_that_is_being_sent_is_left_alone(
    intent: MailIntent, decision: tuple[str, ...]
) -> None:
    intent.claim(lease=60)

    with pytest.raises(CommandError, match="1 of 1 mails were left as they are"):
        decide(intent, *decision)

    intent.refresh_from_db()
    assert intent.state == State.SENDING


def test_the_reason_of_a_decision_keeps_no_address(intent: MailIntent) -> None:
    mails("finish", str(intent.pk), "--as", "sent", "--reason", "ada@example.com called")

    intent.refresh_from_db()
    assert intent.sent_at is not None
    assert intent.sent_at <= timezone.now()
    assert "ada@example.com" not in intent.last_error


def test_nothing_is_finished_with_a_wrong_key(intent: MailIntent) -> None:
    KeyCanary.objects.create(setting="CODE_LOOKUP_KEY", key_id="", value=canary(b"of another key"))

    with pytest.raises(WrongKey, match="CODE_LOOKUP_KEY: expected the key"):
        decide(intent, "resend")

    intent.refresh_from_db()
    assert intent.state == State.UNKNOWN


def test_who_decided_and_why_outlasts_what_the_mail_says(intent: MailIntent) -> None:
    decide(intent, "finish", "--as", "failed")
    decide(intent, "resend")

    kept = Act.objects.order_by("id").values_list("room", "action", "by", "reason", "subject")
    subject = str(intent.access_code_id)
    assert list(kept) == [
        ("mails", "finish as failed", "bo", "her mailbox was full", subject),
        ("mails", "resend", "bo", "her mailbox was full", subject),
    ]
