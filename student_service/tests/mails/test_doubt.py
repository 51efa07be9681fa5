"""If the connection breaks while a mail is sent, it is in doubt, and its state is unknown."""

from __future__ import annotations

from datetime import timedelta

import pytest
from access_codes.mails import finishing, sending
from access_codes.models import MailIntent
from django.utils import timezone
from pytest_django import Settings

from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always, in_clear, make_due, subscribe, undeliverable

pytestmark = pytest.mark.django_db
State = MailIntent.State


def try_again() -> None:
    sending.outage.end()
    make_due()
    sending.send_due_mails(always)


def test_after_two_copies_in_doubt_an_operator_decides(mailbox: Mailbox) -> None:
    mailbox.drop_after_data = True
    [intent] = subscribe("ada@example.com")
    sending.send_due_mails(always)
    intent.refresh_from_db()
    assert (intent.state, intent.doubts) == (State.UNKNOWN, 1)
    assert intent.next_attempt_at is not None

    for _ in range(5):
        try_again()

    intent = MailIntent.objects.get()
    assert (intent.state, intent.doubts, intent.next_attempt_at) == (State.UNKNOWN, 2, None)
    assert len(mailbox.mails) == 2
    assert undeliverable() == []


@pytest.mark.parametrize(
    "then", ["refused", "deferred until no attempt is left", "lost", "capped for a week"]
)
def test_a_mail_that_may_have_arrived_is_never_undeliverable(
    mailbox: Mailbox, settings: Settings, then: str
) -> None:
    mailbox.drop_after_data = True
    [intent] = subscribe("ada@example.com")
    sending.send_due_mails(always)
    mailbox.drop_after_data = False
    if then == "refused":
        mailbox.answer_rcpt["ada@example.com"] = "550 5.1.1 no such user"
    elif then == "lost":
        mailbox.drop_after_data = True
    elif then == "capped for a week":
        settings.MAIL_DAILY_CAP = 1
        other = subscribe("ada@example.com")[1]
        MailIntent.objects.claim([other], 60)
        other.sent()
        MailIntent.objects.update(created_at=timezone.now() - timedelta(days=8))
    else:
        mailbox.answer_rcpt["ada@example.com"] = "450 not now"
        MailIntent.objects.update(attempts=finishing.MAX_ATTEMPTS - 1)

    try_again()

    intent.refresh_from_db()
    assert (intent.state, intent.next_attempt_at) == (State.UNKNOWN, None)
    assert undeliverable() == []


def test_a_deferred_second_copy_stays_in_doubt(mailbox: Mailbox) -> None:
    mailbox.drop_after_data = True
    [intent] = subscribe("ada@example.com")
    sending.send_due_mails(always)
    mailbox.drop_after_data = False
    mailbox.answer_data = "451 not now"

    try_again()

    intent.refresh_from_db()
    assert (intent.state, intent.doubts, intent.attempts) == (State.UNKNOWN, 1, 2)
    assert intent.next_attempt_at is not None

    mailbox.answer_data = ""
    try_again()

    intent.refresh_from_db()
    assert (intent.state, intent.doubts) == (State.SENT, 1)


def test_a_mail_in_doubt_can_be_left_to_an_operator(mailbox: Mailbox, settings: Settings) -> None:
    settings.MAIL_WHEN_UNKNOWN = "leave_to_operator"
    mailbox.drop_after_data = True
    (intent,) = subscribe("ada@example.com")

    sending.send_due_mails(always)

    intent.refresh_from_db()
    assert (intent.state, intent.next_attempt_at, intent.doubts) == (State.UNKNOWN, None, 1)


def test_a_mail_in_doubt_is_sent_again_with_the_same_message_id(
    mailbox: Mailbox,
) -> None:
    mailbox.drop_after_data = True
    ada, bob = subscribe("ada@example.com", "bob@example.com")

    assert sending.send_due_mails(always) == 1

    ada.refresh_from_db()
    bob.refresh_from_db()
    assert (ada.state, ada.attempts) == (State.UNKNOWN, 1)
    assert (bob.state, bob.attempts) == (
        State.PENDING,
        0,
    )  # no more mails are sent during an outage

    mailbox.drop_after_data = False
    sending.outage.end()
    make_due()
    sending.send_due_mails(always)

    first, second, _ = mailbox.mails
    assert {first["Message-ID"], second["Message-ID"]} == {ada.message_id}
    assert in_clear(first) == in_clear(second)


def test_a_mail_is_not_in_doubt_if_the_connection_breaks_before_the_content(
    mailbox: Mailbox,
) -> None:
    mailbox.drop_at_rcpt = True
    ada, bob = subscribe("ada@example.com", "bob@example.com")

    sending.send_due_mails(always)

    ada.refresh_from_db()
    bob.refresh_from_db()
    assert (ada.state, ada.attempts) == (State.PENDING, 1)
    assert (bob.state, bob.attempts) == (State.PENDING, 0)
