"""The number of mails to one recipient in a day is limited."""

from __future__ import annotations

from datetime import timedelta

import pytest
from access_codes.mails import sending
from access_codes.mails.mailboxes import mailbox as mailbox_of
from access_codes.models import MailIntent
from django.db.models import F
from django.utils import timezone
from pytest_django import Settings

from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always, make_due, subscribe, undeliverable

pytestmark = pytest.mark.django_db
State = MailIntent.State


def a_day_passes() -> None:
    day = timedelta(hours=25)
    MailIntent.objects.update(
        tried_at=F("tried_at") - day, next_attempt_at=F("next_attempt_at") - day
    )


def events_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [getattr(record, "event", "") for record in caplog.records]


def test_mails_beyond_the_daily_cap_wait_for_the_next_day(
    mailbox: Mailbox, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.MAIL_DAILY_CAP = 3
    subscribe(*["ada@example.com", "ADA@example.com"] * 3, "bob@example.com")

    sending.send_due_mails(always)

    assert [address.lower() for address in mailbox.recipients] == [
        *["ada@example.com"] * 3,
        "bob@example.com",
    ]
    waiting = MailIntent.objects.filter(state=State.PENDING)
    assert {intent.last_error for intent in waiting} == {
        "3 mails to this mailbox in 24 hours; it waits for a day"
    }
    assert {intent.attempts for intent in waiting} == {0}
    assert not undeliverable()
    assert events_of(caplog).count("mail_over_cap") == 3

    a_day_passes()
    sending.send_due_mails(always)

    assert len(mailbox.mails) == 7
    assert not MailIntent.objects.exclude(state=State.SENT)


def test_a_mail_that_waits_for_a_week_is_suppressed_and_reported(
    mailbox: Mailbox, settings: Settings
) -> None:
    settings.MAIL_DAILY_CAP = 1
    _, flooded = subscribe("ada@example.com", "ada@example.com")
    MailIntent.objects.update(created_at=timezone.now() - timedelta(days=8))

    sending.send_due_mails(always)

    flooded.refresh_from_db()
    assert (flooded.state, flooded.next_attempt_at) == (State.SUPPRESSED, None)
    assert flooded.last_error == "1 mails to this mailbox in 24 hours, for 7 days"
    [report] = undeliverable()
    assert report.subscription_id == flooded.access_code_id


def test_many_spellings_of_a_mailbox_share_its_cap(mailbox: Mailbox, settings: Settings) -> None:
    settings.MAIL_DAILY_CAP = 20
    subscribe(*(f"victim+{n}@example.org" for n in range(30)))

    sending.send_due_mails(always)

    assert len(mailbox.mails) == 20


def test_mails_at_once_share_the_cap_of_their_mailbox(mailbox: Mailbox, settings: Settings) -> None:
    settings.MAIL_DAILY_CAP, mailbox.pause_at_data = 2, 0.02
    others = [f"user{n}@example.com" for n in range(20)]
    subscribe(*others, *["victim@example.org"] * 10)

    sending.send_due_mails(always)

    assert mailbox.recipients.count("victim@example.org") == 2
    assert len(mailbox.mails) == 22


@pytest.mark.parametrize(
    ("address", "same_as"),
    [
        ("VICTIM@Example.ORG", "victim@example.org"),
        ("victim+shop+1@example.org", "victim@example.org"),
        ("victim@example.org.", "victim@example.org"),
        ("v.i.c.t.i.m+x@googlemail.com", "victim@gmail.com"),
        ("victim@bücher.example", "victim@xn--bcher-kva.example"),
        ("victim@BÜCHER.example", "victim@bu\u0308cher.example"),
    ],
)
def test_a_mailbox_has_one_name(address: str, same_as: str) -> None:
    assert mailbox_of(address) == mailbox_of(same_as)


@pytest.mark.parametrize(
    ("address", "other"),
    [
        ("vic.tim@example.org", "victim@example.org"),
        ("victim-1@example.org", "victim@example.org"),
        ("+1@example.org", "+2@example.org"),
        ("victim@a.example.org", "victim@example.org"),
        ("a@x，y.example", "a@x"),
    ],
)
def test_what_may_be_another_mailbox_is_counted_apart(address: str, other: str) -> None:
    assert mailbox_of(address) != mailbox_of(other)


def test_mails_of_yesterday_do_not_count(mailbox: Mailbox, settings: Settings) -> None:
    settings.MAIL_DAILY_CAP = 1
    subscribe("ada@example.com")
    sending.send_due_mails(always)
    a_day_passes()
    subscribe("ada@example.com")

    sending.send_due_mails(always)

    assert len(mailbox.mails) == 2


def test_a_mail_that_is_sent_again_does_not_count_against_itself(
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
