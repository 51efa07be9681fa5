"""A mail lost on the way may have been sent or not: it is unknown."""

from __future__ import annotations

import pytest
from access_codes.mails import finishing, sending
from access_codes.models import MailIntent
from pytest_django import Settings

from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always, in_clear, make_due, subscribe, undeliverable

pytestmark = pytest.mark.django_db
State = MailIntent.State


@pytest.mark.parametrize("attempts", [0, finishing.MOST_ATTEMPTS - 1])
def test_a_lost_mail_is_reported_once_no_attempt_is_left(mailbox: Mailbox, attempts: int) -> None:
    mailbox.drop_after_data = True
    subscribe("ada@example.com")
    MailIntent.objects.update(attempts=attempts)

    sending.send_due_mails(always)

    assert len(undeliverable()) == (1 if attempts else 0)


def test_a_mail_in_doubt_waits_for_an_operator_if_so_configured(
    mailbox: Mailbox, settings: Settings
) -> None:
    settings.MAIL_WHEN_UNKNOWN = "ask"
    mailbox.drop_after_data = True
    (intent,) = subscribe("ada@example.com")

    sending.send_due_mails(always)

    intent.refresh_from_db()
    assert (intent.state, intent.next_attempt_at, intent.doubts) == (State.UNKNOWN, None, 1)


def test_a_mail_lost_on_the_way_is_resent_with_its_message_id(
    mailbox: Mailbox,
) -> None:
    mailbox.drop_after_data = True
    ada, bob = subscribe("ada@example.com", "bob@example.com")

    assert sending.send_due_mails(always) == 1

    ada.refresh_from_db()
    bob.refresh_from_db()
    assert (ada.state, ada.attempts) == (State.UNKNOWN, 1)
    assert (bob.state, bob.attempts) == (State.PENDING, 0)  # a server in trouble is left alone

    mailbox.drop_after_data = False
    sending.outage.end()
    make_due()
    sending.send_due_mails(always)

    first, second, _ = mailbox.mails
    assert {first["Message-ID"], second["Message-ID"]} == {ada.message_id}
    assert in_clear(first) == in_clear(second)


def test_a_connection_lost_before_the_content_is_no_doubt(mailbox: Mailbox) -> None:
    mailbox.drop_at_rcpt = True
    ada, bob = subscribe("ada@example.com", "bob@example.com")

    sending.send_due_mails(always)

    ada.refresh_from_db()
    bob.refresh_from_db()
    assert (ada.state, ada.attempts) == (State.PENDING, 1)
    assert (bob.state, bob.attempts) == (State.PENDING, 0)
