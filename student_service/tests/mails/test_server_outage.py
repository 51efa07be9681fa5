"""During an outage of the mail server the worker pauses, and no mail is charged an attempt."""

from __future__ import annotations

from datetime import timedelta

import pytest
from access_codes.mails import sending
from access_codes.models import MailIntent
from django.utils import timezone
from pytest_django import Settings

from tests.mails.scripted_server import ScriptedServer, answer
from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always, made_a_pause, subscribe
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db
State = MailIntent.State


def test_a_silent_server_delays_a_worker_no_longer_than_the_timeout(
    mailbox: Mailbox, settings: Settings
) -> None:
    settings.EMAIL_TIMEOUT = settings.EMAIL_ACCEPT_TIMEOUT = 1
    mailbox.stall_at_data = True
    (intent,) = subscribe("ada@example.com")
    began = timezone.now()

    sending.send_due_mails(always)

    intent.refresh_from_db()
    assert intent.state == State.UNKNOWN
    assert timezone.now() - began < timedelta(seconds=4)


@pytest.mark.parametrize("fault", ["no server", "sender refused", "sender deferred"])
def test_no_attempt_is_counted_if_the_server_accepts_no_mail_at_all(
    mailbox: Mailbox, settings: Settings, fault: str
) -> None:
    if fault == "no server":
        settings.EMAIL_PORT = 1
    mailbox.answer_mail_from = {"sender refused": "550 no", "sender deferred": "451 no"}.get(
        fault, ""
    )
    subscribe("ada@example.com", "bob@example.com")

    assert sending.send_due_mails(always) == 0

    assert set(MailIntent.objects.values_list("state", "attempts", "last_error")) == {
        (State.PENDING, 0, "")
    }
    # SQLite's clock has milliseconds: what is put off by nothing is due in the next one.
    eventually(lambda: MailIntent.objects.due().count(), lambda due: due == 2)
    assert made_a_pause()

    settings.EMAIL_PORT = mailbox.port
    mailbox.answer_mail_from = ""
    sending.outage.end()
    assert sending.send_due_mails(always) == 2


def test_an_outage_is_logged_once(
    mailbox: Mailbox, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.EMAIL_PORT = 1
    subscribe("ada@example.com")
    for _ in range(5):
        sending.outage._rest_until = 0.0
        sending.send_due_mails(always)
    settings.EMAIL_PORT = mailbox.port
    sending.outage._rest_until = 0.0
    sending.send_due_mails(always)

    logged = [text for text in caplog.messages if "mail server" in text]
    assert [text.partition(",")[0].partition(" after")[0] for text in logged] == [
        "the mail server is unavailable",
        "the mail server is back",
    ]


@pytest.mark.parametrize("at", ["RCPT", "DATA", "dot"])
def test_a_server_that_closes_costs_one_mail_an_attempt(scripted: ScriptedServer, at: str) -> None:
    """Not every mail that is due, each over a new connection."""
    subscribe(*(f"user{n}@example{n}.com" for n in range(6)))
    scripted.play(**{at: answer("421 4.3.2 Service shutting down\r\n", hang_up=True)})

    assert sending.send_due_mails(always) == 1

    assert len(scripted.records) == 1
    assert made_a_pause()
    assert sorted(MailIntent.objects.values_list("state", "attempts")) == [
        *[(State.PENDING, 0)] * 5,
        (State.PENDING, 1),
    ]

    scripted.play()
    sending.outage._rest_until = 0.0
    assert sending.send_due_mails(always) == 5


def test_mails_that_fail_together_count_as_one_failure() -> None:
    sending.outage.begin("cut")
    rest = sending.outage.rest

    sending.outage.begin("cut")

    assert 0 < sending.outage.rest <= rest
