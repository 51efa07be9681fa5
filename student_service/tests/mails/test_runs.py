"""A run ends with no mail in hand, and what a database error interrupts the next one finishes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import pytest
from access_codes.mails import finishing, in_hand, results, sending
from access_codes.mails.lease import Lease
from access_codes.models import MailIntent
from django.db import OperationalError, connections
from pytest_django import Settings

from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always, for_seconds, make_due, subscribe
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)
State = MailIntent.State


def test_a_run_whose_time_is_over_waits_for_what_is_in_hand(
    mailbox: Mailbox, settings: Settings
) -> None:
    settings.EMAIL_CONNECTIONS, mailbox.pause_at_data = 1, 0.4
    subscribe("user0@example.com", "user1@example.com")

    assert sending.send_due_mails(for_seconds(0.1)) == 1

    states = MailIntent.objects.order_by("id").values_list("state", flat=True)
    assert list(states) == [State.SENT, State.PENDING]


@pytest.mark.parametrize("longest", [600, 0])
def test_a_slow_answer_holds_no_mail_when_the_time_of_a_run_is_over(
    mailbox: Mailbox, settings: Settings, monkeypatch: pytest.MonkeyPatch, longest: float
) -> None:
    settings.EMAIL_ACCEPT_TIMEOUT = 30
    monkeypatch.setattr(sending, "LONGEST_RUN", longest)
    mailbox.slow["user0@example.com"] = 2.5
    subscribe("user0@example.com")

    def later() -> None:
        subscribe("user1@example.com")
        connections.close_all()

    writer = threading.Timer(0.8, later)
    writer.start()

    assert sending.send_due_mails(for_seconds(0.1)) == (2 if longest else 1)

    writer.join(60)
    both = ["user1@example.com", "user0@example.com"]
    assert mailbox.recipients == (both if longest else both[1:])


@pytest.mark.parametrize("answered", [True, False])
def test_what_was_in_hand_when_the_database_failed_is_finished_by_the_next_run(
    mailbox: Mailbox,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    answered: bool,
) -> None:
    """Although its lease has ended: its own worker knows better, and has idle connections."""
    settings.EMAIL_TIMEOUT, settings.EMAIL_ACCEPT_TIMEOUT = 1, 30
    mailbox.slow["ada@example.com"] = 6.0 if answered else 9.0
    subscribe("ada@example.com", *(f"user{n}@example.com" for n in range(3)))

    def fails(leases: Iterable[Lease]) -> None:
        if len(mailbox.mails) == 3 and len([*leases]) == 1:
            raise OperationalError("away")

    with monkeypatch.context() as patched:
        patched.setattr(in_hand, "renew", fails)
        with pytest.raises(OperationalError):
            sending.send_due_mails(always)
    if answered:
        eventually(lambda: len(mailbox.mails) == 4)
    else:
        time.sleep(0.6)  # half a lease is a second
    make_due()

    sending.send_due_mails(always)

    states = MailIntent.objects.values_list("state", "attempts", "doubts")
    assert set(states) == {(State.SENT, 1, 0)}
    assert len(mailbox.mails) == 4
    assert [text for text in caplog.messages if "died" in text] == []


def test_results_are_kept_until_the_database_takes_them(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox.answer_rcpt["user1@example.com"] = "550 5.1.1 no such user"
    subscribe(*(f"user{n}@example.com" for n in range(3)))
    finish_all, failures = finishing.finish_all, iter(range(3))

    def fails(ended: object, *, held: bool) -> None:
        if ended and next(failures, None) is not None:
            raise OperationalError("away")
        finish_all(ended, held=held)  # type: ignore[arg-type]

    monkeypatch.setattr(finishing, "finish_all", fails)
    monkeypatch.setattr(results, "database_works", lambda: False)
    for _ in range(3):
        with pytest.raises(OperationalError):
            sending.send_due_mails(always)
    sending.send_due_mails(always)

    assert mailbox.recipients == ["user0@example.com", "user2@example.com"]
    states = MailIntent.objects.order_by("id").values_list("state", "attempts")
    assert list(states) == [(State.SENT, 1), (State.FAILED, 1), (State.SENT, 1)]
