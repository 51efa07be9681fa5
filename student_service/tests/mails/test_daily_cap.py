"""A recipient gets only so many mails a day."""

from __future__ import annotations

from datetime import timedelta

import pytest
from access_codes.mails import sending
from access_codes.models import MailIntent
from django.utils import timezone
from pytest_django import Settings

from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always, make_due, subscribe, undeliverable

pytestmark = pytest.mark.django_db
State = MailIntent.State


def test_a_recipient_gets_no_more_mails_a_day_than_the_cap(
    mailbox: Mailbox, settings: Settings
) -> None:
    settings.MAIL_DAILY_CAP = 3
    subscribe(*["ada@example.com", "ADA@example.com"] * 3, "bob@example.com")

    sending.send_due_mails(always)

    assert [address.lower() for address in mailbox.recipients] == [
        *["ada@example.com"] * 3,
        "bob@example.com",
    ]
    held = MailIntent.objects.filter(state=State.SUPPRESSED)
    assert held.count() == 3
    assert {intent.last_error for intent in held} == {"3 mails to this address in 24 hours"}
    assert MailIntent.objects.due().count() == 0
    assert {event.subscription_id for event in undeliverable()} == {
        intent.access_code_id for intent in held
    }


def test_mails_of_yesterday_do_not_count(mailbox: Mailbox, settings: Settings) -> None:
    settings.MAIL_DAILY_CAP = 1
    subscribe("ada@example.com")
    sending.send_due_mails(always)
    MailIntent.objects.update(tried_at=timezone.now() - timedelta(hours=25))
    subscribe("ada@example.com")

    sending.send_due_mails(always)

    assert len(mailbox.mails) == 2


def test_a_mail_that_is_tried_again_does_not_count_against_itself(
    mailbox: Mailbox, settings: Settings
) -> None:
    settings.MAIL_DAILY_CAP = 1
    mailbox.drop_after_data = True
    (intent,) = subscribe("ada@example.com")
    sending.send_due_mails(always)
    mailbox.drop_after_data = False
    sending.outage.end()
    make_due()

    sending.send_due_mails(always)

    intent.refresh_from_db()
    assert (intent.state, intent.attempts) == (State.SENT, 2)
