"""What hangs is given up, and is in doubt only if it was handed over."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import pytest
from access_codes.mails import handing_over, sending
from access_codes.mails.composing import Mail
from access_codes.mails.letters import Letters
from access_codes.models import MailIntent
from admit_one.tasks.runs import stopping
from pytest_django import Settings

from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always, faults, for_seconds, make_due, outages, subscribe
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)
State = MailIntent.State


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


def hang_connecting(monkeypatch: pytest.MonkeyPatch, answered: threading.Event) -> None:
    session = handing_over.session

    def hangs() -> object:
        answered.wait(30)
        return session()

    monkeypatch.setattr(handing_over, "session", hangs)


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
    settings.MAIL_BACKEND = "tests.mails.test_hanging.Hanging"
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


def test_what_a_given_up_connection_says_of_a_sent_mail_counts(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, answered: threading.Event
) -> None:
    short(settings)
    settings.MAIL_BACKEND = "tests.mails.test_hanging.Hanging"
    monkeypatch.setattr(Hanging, "answered", answered)
    subscribe("ada@example.com")
    sending.send_due_mails(always)
    before = MailIntent.objects.get()

    answered.set()
    eventually(lambda: [t for t in threading.enumerate() if "mail conn" in t.name] == [])
    sending.send_due_mails(always)

    intent = MailIntent.objects.get()
    assert (before.state, before.doubts) == (State.UNKNOWN, 1)
    assert (intent.state, intent.attempts, intent.doubts) == (State.SENT, 1, 0)


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


@pytest.mark.usefixtures("mailbox")
@pytest.mark.parametrize("runs", [[60.0], [0.05] * 4], ids=["in one run", "beyond short runs"])
def test_a_connection_that_is_never_made_is_given_up(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    answered: threading.Event,
    runs: list[float],
) -> None:
    short(settings)
    hang_connecting(monkeypatch, answered)
    subscribe("ada@example.com")

    attempts = [sending.send_due_mails(for_seconds(seconds)) for seconds in runs]

    assert attempts == [0] * len(runs)
    assert len(outages(caplog)) == 1
    assert "no connection is made" in outages(caplog)[0]
    assert len([t for t in threading.enumerate() if "mail conn" in t.name]) == 1
    assert MailIntent.objects.get().state == State.PENDING
