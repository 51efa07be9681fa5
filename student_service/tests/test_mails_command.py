"""What operators see of mails, and what they may say of them."""

from __future__ import annotations

from io import StringIO

import pytest
from access_codes.mails import sending
from access_codes.models import MailIntent
from admit_one.messaging.models import KeyCanary
from admit_one.messaging.testing import an_envelope, deliver, published
from admit_one.sealing.canaries import WrongKey, canary
from django.core.management import CommandError, call_command
from django.utils import timezone
from shared_contracts.events import AccessCodeUndeliverable, UserSubscribed

from tests.smtp_server import Mailbox

pytestmark = pytest.mark.django_db
State = MailIntent.State


@pytest.fixture
def intent() -> MailIntent:
    """A mail of which nobody knows whether it was sent, waiting for somebody who does."""
    deliver(an_envelope(UserSubscribed, email="ada@example.com"))
    intent = MailIntent.objects.get()
    intent.claim(lease=60)
    intent.doubt("the worker that was sending it ended", pause=None)
    return intent


def mails(*arguments: str) -> str:
    out = StringIO()
    call_command("mails", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def settle(intent: MailIntent, settlement: str) -> str:
    return mails("settle", str(intent.pk), "--as", settlement, "--by", "bo", "--reason", "I asked")


def test_the_list_counts_each_state_and_shows_no_address(intent: MailIntent) -> None:
    assert "unknown            1" in mails("list")
    listed = mails("list", "--state", "unknown")
    assert str(intent.pk) in listed
    assert "ada@" not in listed
    assert mails("list", "--state", "failed") == "no mail is failed\n"


def test_a_mail_that_arrived_is_not_sent_again(intent: MailIntent, mailbox: Mailbox) -> None:
    settle(intent, "arrived")
    sending.send_due_mails(lambda: True)

    intent.refresh_from_db()
    assert (intent.state, intent.last_error) == (State.SENT, "arrived by bo: I asked")
    assert mailbox.mails == []


def test_a_mail_to_be_sent_again_keeps_its_message_id(intent: MailIntent, mailbox: Mailbox) -> None:
    settle(intent, "send-again")
    sending.send_due_mails(lambda: True)

    intent.refresh_from_db()
    assert (intent.state, intent.attempts, intent.doubts) == (State.SENT, 1, 1)
    assert [mail["Message-ID"] for mail in mailbox.mails] == [intent.message_id]


def test_a_mail_given_up_is_told_to_the_payment_side(intent: MailIntent) -> None:
    settle(intent, "give-up")

    intent.refresh_from_db()
    [told] = [m.data for m in published() if isinstance(m.data, AccessCodeUndeliverable)]
    assert (intent.state, intent.next_attempt_at) == (State.FAILED, None)
    assert (told.subscription_id, told.reason) == (intent.access_code_id, intent.last_error)


@pytest.mark.parametrize("settlement", sending.SETTLEMENTS)
def test_a_mail_in_a_worker_s_hands_is_left_alone(intent: MailIntent, settlement: str) -> None:
    intent.claim(lease=60)

    with pytest.raises(CommandError, match="1 of 1 mails were left as they are"):
        settle(intent, settlement)

    intent.refresh_from_db()
    assert intent.state == State.SENDING


def test_what_is_said_of_a_mail_keeps_no_address(intent: MailIntent) -> None:
    mails("settle", str(intent.pk), "--as", "arrived", "--reason", "ada@example.com told me")

    intent.refresh_from_db()
    assert intent.sent_at is not None
    assert intent.sent_at <= timezone.now()
    assert "ada@example.com" not in intent.last_error


def test_nothing_is_settled_with_another_key_than_the_services_have(intent: MailIntent) -> None:
    KeyCanary.objects.create(setting="CODE_LOOKUP_KEY", key_id="", value=canary(b"of another key"))

    with pytest.raises(WrongKey, match="CODE_LOOKUP_KEY: expected the key"):
        settle(intent, "give-up")

    intent.refresh_from_db()
    assert intent.state == State.UNKNOWN
