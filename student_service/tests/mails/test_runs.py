"""A run ends with no mail in hand, and what a database error interrupts the next one finishes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

import pytest
from access_codes.mails import finishing, handing_over, results, sending
from access_codes.mails.composing import Mail
from access_codes.mails.lease import Lease
from access_codes.mails.letters import Letters
from access_codes.models import MailIntent
from admit_one.tasks.runs import stopping
from django.db import OperationalError, connections
from pytest_django import Settings

from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always, faults, make_due, outages, subscribe
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)
State = MailIntent.State


def for_seconds(seconds: float) -> Callable[[], bool]:
    until = time.monotonic() + seconds
    return lambda: time.monotonic() < until


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

    threading.Timer(0.8, later).start()

    assert sending.send_due_mails(for_seconds(0.1)) == (2 if longest else 1)

    both = ["user1@example.com", "user0@example.com"]
    assert mailbox.recipients == (both if longest else both[1:])


def fails_in_hand(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let the run meet this once a mail is in hand."""

    def failing(leases: Iterable[Lease]) -> None:
        if any(True for _ in leases):
            raise error

    monkeypatch.setattr(sending, "renew", failing)


@pytest.mark.parametrize("answered", [True, False])
def test_what_was_in_hand_when_the_database_failed_is_finished_by_the_next_run(
    mailbox: Mailbox, settings: Settings, monkeypatch: pytest.MonkeyPatch, answered: bool
) -> None:
    """Although its lease has ended: its own worker knows better."""
    settings.EMAIL_TIMEOUT, settings.EMAIL_ACCEPT_TIMEOUT = 1, 30
    mailbox.slow["ada@example.com"] = 0.4 if answered else 2.0
    subscribe("ada@example.com")
    with monkeypatch.context() as patched:
        fails_in_hand(patched, OperationalError("away"))
        with pytest.raises(OperationalError):
            sending.send_due_mails(always)
    time.sleep(0.8)
    assert len(mailbox.mails) == answered
    make_due()

    assert sending.send_due_mails(always) == 1

    intent = MailIntent.objects.get()
    assert (intent.state, intent.attempts, intent.doubts) == (State.SENT, 1, 0)
    assert len(mailbox.mails) == 1


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


# what hangs


@pytest.fixture
def answered() -> Iterable[threading.Event]:
    """What hangs goes on when it is set."""
    event = threading.Event()
    yield event
    event.set()
    eventually(lambda: [t for t in threading.enumerate() if "mail conn" in t.name] == [])


def hang_composing(monkeypatch: pytest.MonkeyPatch, answered: threading.Event) -> None:
    compose = Letters.compose

    def hangs(self: Letters, intent: MailIntent) -> Mail:
        answered.wait(30)
        return compose(self, intent)

    monkeypatch.setattr(Letters, "compose", hangs)


def short(settings: Settings) -> None:
    settings.EMAIL_TIMEOUT, settings.EMAIL_ACCEPT_TIMEOUT = 0.2, 0.1


def test_a_mail_that_hangs_before_the_hand_over_is_given_up_and_not_in_doubt(
    mailbox: Mailbox,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    answered: threading.Event,
) -> None:
    short(settings)
    hang_composing(monkeypatch, answered)
    subscribe("ada@example.com")

    assert sending.send_due_mails(always) == 0

    answered.set()
    eventually(lambda: [t for t in threading.enumerate() if "mail conn" in t.name] == [])
    intent = MailIntent.objects.get()
    assert (intent.state, intent.attempts, intent.doubts) == (State.PENDING, 0, 0)
    assert mailbox.mails == []


class Hanging:
    """A backend that hangs with the mail."""

    answered = threading.Event()

    def __init__(self, **_: object) -> None:
        pass

    def open(self) -> bool:
        return True

    def close(self) -> None:
        pass

    def send_messages(self, _: object) -> int:
        self.answered.wait(30)
        return 1


@pytest.mark.parametrize("is_stopping", [True, False])
def test_a_mail_that_hangs_after_the_hand_over_is_in_doubt(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    answered: threading.Event,
    is_stopping: bool,
) -> None:
    settings.MAIL_BACKEND = "tests.mails.test_runs.Hanging"
    monkeypatch.setattr(Hanging, "answered", answered)
    settings.EMAIL_TIMEOUT = 0.2
    settings.EMAIL_ACCEPT_TIMEOUT = 300 if is_stopping else 0.1
    subscribe("ada@example.com")
    try:
        if is_stopping:
            threading.Timer(0.3, stopping.set).start()
        assert sending.send_due_mails(always) == 1
    finally:
        stopping.clear()

    intent = MailIntent.objects.get()
    assert (intent.state, intent.attempts, intent.doubts) == (State.UNKNOWN, 1, 1)


def test_if_all_connections_hang_the_run_fails_and_says_what_to_do(
    mailbox: Mailbox,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    answered: threading.Event,
) -> None:
    short(settings)
    settings.EMAIL_CONNECTIONS = 2
    hang_composing(monkeypatch, answered)
    subscribe(*(f"user{n}@example.com" for n in range(4)))

    for _ in range(3):
        with pytest.raises(sending.AllHang, match="restart this worker"):
            sending.send_due_mails(always)

    assert faults(caplog) == [("mail_connections_hang", None)]
    assert len([t for t in threading.enumerate() if "mail conn" in t.name]) == 2
    assert set(MailIntent.objects.values_list("state", "attempts")) == {(State.PENDING, 0)}

    answered.set()
    eventually(lambda: [t for t in threading.enumerate() if "mail conn" in t.name] == [])
    make_due()
    assert sending.send_due_mails(always) == 4


def test_a_connection_that_is_never_made_is_given_up(
    mailbox: Mailbox,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    answered: threading.Event,
) -> None:
    short(settings)
    session = handing_over.session

    def hangs() -> object:
        answered.wait(30)
        return session()

    monkeypatch.setattr(handing_over, "session", hangs)
    subscribe("ada@example.com")

    assert sending.send_due_mails(always) == 0

    assert len(outages(caplog)) == 1
    assert "no connection is made" in outages(caplog)[0]
    assert MailIntent.objects.get().state == State.PENDING
