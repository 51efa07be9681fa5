"""Each due mail is sent once, over a few connections."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from access_codes.mails import finishing, sending
from access_codes.mails.composing import Mail
from access_codes.mails.letters import Letters
from access_codes.mails.sending import Sender
from access_codes.models import AccessCode, MailIntent
from admit_one.tasks.runs import stopping
from django.db import OperationalError, connection, connections
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always, in_clear, made_a_pause, subscribe
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db
State = MailIntent.State


def test_the_mail_with_the_code_is_sent_to_its_recipient(mailbox: Mailbox) -> None:
    (intent,) = subscribe("ada@example.com")

    assert sending.send_due_mails(always) == 1

    intent.refresh_from_db()
    code = AccessCode.objects.get().code
    (mail,) = mailbox.mails
    assert mailbox.recipients == ["ada@example.com"]
    assert mail["To"] == "ada@example.com"
    assert mail["From"] == "Admit One <codes@admit-one.example>"
    assert mail["Message-ID"] == intent.message_id
    assert code in in_clear(mail, "plain")
    assert code in in_clear(mail, "html")
    assert (intent.state, intent.attempts, intent.next_attempt_at) == (State.SENT, 1, None)
    assert intent.sent_at is not None


def test_a_sent_mail_is_not_sent_again(mailbox: Mailbox) -> None:
    subscribe("ada@example.com")
    sending.send_due_mails(always)

    assert sending.send_due_mails(always) == 0

    assert len(mailbox.mails) == 1


def test_many_mails_go_over_one_connection_in_their_order(
    mailbox: Mailbox, settings: Settings
) -> None:
    settings.EMAIL_CONNECTIONS = 1
    subscribe(*(f"user{n}@example.com" for n in range(20)))

    assert sending.send_due_mails(always) == 20

    assert mailbox.recipients == [f"user{n}@example.com" for n in range(20)]
    assert mailbox.connections == 1


def test_many_mails_go_over_a_few_connections(mailbox: Mailbox, settings: Settings) -> None:
    settings.EMAIL_CONNECTIONS = 4
    mailbox.pause_at_data = 0.02
    subscribe(*(f"user{n}@example.com" for n in range(40)))

    assert sending.send_due_mails(always) == 40

    assert sorted(mailbox.recipients) == sorted(f"user{n}@example.com" for n in range(40))
    assert mailbox.connections == mailbox.most_in_hand == 4
    assert set(MailIntent.objects.values_list("state", "attempts")) == {(State.SENT, 1)}


def test_one_mail_takes_one_connection(mailbox: Mailbox) -> None:
    subscribe("ada@example.com")

    sending.send_due_mails(always)

    assert mailbox.connections == 1


def test_mails_that_end_together_share_their_statements(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each statement is a round trip, which limits the mails that a worker can send."""
    monkeypatch.setattr(sending, "LINGER", 0.1)
    subscribe(*(f"user{n}@example.com" for n in range(64)))

    with CaptureQueriesContext(connection) as queries:
        assert sending.send_due_mails(always) == 64

    verbs = [query["sql"].split()[0] for query in queries.captured_queries]
    assert sum(verb in {"SELECT", "UPDATE"} for verb in verbs) < 64


def test_a_slow_answer_on_one_connection_holds_no_other(
    mailbox: Mailbox, settings: Settings
) -> None:
    settings.EMAIL_ACCEPT_TIMEOUT = 30
    mailbox.slow["user0@example.com"] = 3.0
    subscribe(*(f"user{n}@example.com" for n in range(10)))

    assert sending.send_due_mails(always) == 10

    assert mailbox.recipients[-1] == "user0@example.com"


def test_a_server_that_lets_in_fewer_connections_gets_all_mails(mailbox: Mailbox) -> None:
    mailbox.most_connections, mailbox.pause_at_data = 3, 0.02
    subscribe(*(f"user{n}@example.com" for n in range(30)))

    assert sending.send_due_mails(always) == 30

    assert len(mailbox.mails) == 30
    assert mailbox.most_in_hand == 3
    assert mailbox.connections <= 12  # it does not refuse one after the other
    assert not made_a_pause()
    assert set(MailIntent.objects.values_list("state", "attempts")) == {(State.SENT, 1)}


def test_a_bug_with_one_mail_costs_the_others_nothing(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose = Letters.compose

    def broken(self: Letters, intent: MailIntent) -> Mail:
        if intent.address == "user7@example.com":
            raise ZeroDivisionError
        return compose(self, intent)

    monkeypatch.setattr(Letters, "compose", broken)
    subscribe(*(f"user{n}@example.com" for n in range(12)))

    with pytest.raises(ZeroDivisionError):
        sending.send_due_mails(always)

    sent = MailIntent.objects.filter(state=State.SENT).count()
    assert sent == len(mailbox.mails) >= 7
    assert MailIntent.objects.filter(state=State.SENDING).count() == 1


def test_a_server_that_limits_mails_per_session_gets_all_mails(
    mailbox: Mailbox, settings: Settings
) -> None:
    settings.EMAIL_CONNECTIONS, mailbox.mails_per_connection = 1, 4
    subscribe(*(f"user{n}@example.com" for n in range(10)))

    assert sending.send_due_mails(always) == 10

    assert len(mailbox.mails) == 10
    assert mailbox.connections == 3
    assert set(MailIntent.objects.values_list("state", "attempts")) == {(State.SENT, 1)}


@pytest.fixture
def stops_again() -> Iterator[None]:
    yield
    stopping.clear()


@pytest.mark.usefixtures("stops_again")
def test_a_stopping_worker_finishes_the_mail_in_hand_and_claims_no_other(mailbox: Mailbox) -> None:
    subscribe("ada@example.com", "bob@example.com")

    mailbox.pause_at_data = 0.3
    threading.Timer(0.1, stopping.set).start()

    sending.send_due_mails(lambda: not stopping.is_set())

    assert mailbox.recipients == ["ada@example.com"]
    states = MailIntent.objects.order_by("id").values_list("state", flat=True)
    assert list(states) == [State.SENT, State.PENDING]


@pytest.mark.django_db(transaction=True)
def test_several_workers_at_once_send_each_mail_once(mailbox: Mailbox) -> None:
    subscribe(*(f"user{n}@example.com" for n in range(40)))
    start = threading.Barrier(4)
    errors: list[BaseException] = []

    def worker() -> None:
        try:
            start.wait(10)
            while MailIntent.objects.due().exists():
                Sender().run(always)  # one of each process
        except BaseException as error:  # noqa: BLE001 (reported below)
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert errors == []
    assert sorted(mailbox.recipients) == sorted(f"user{n}@example.com" for n in range(40))
    assert set(MailIntent.objects.values_list("state", "attempts")) == {(State.SENT, 1)}


@pytest.mark.django_db(transaction=True)
def test_a_slow_answer_holds_no_mail_after_the_run_either(
    mailbox: Mailbox, settings: Settings
) -> None:
    """The run ends, and the next one has the mail in hand, and others beside it."""
    settings.EMAIL_ACCEPT_TIMEOUT = 30
    mailbox.slow["user0@example.com"] = 1.5
    subscribe("user0@example.com")
    until = time.monotonic() + 0.3
    assert sending.send_due_mails(lambda: time.monotonic() < until) == 0

    subscribe("user1@example.com")
    assert sending.send_due_mails(always) == 2

    assert mailbox.recipients == ["user1@example.com", "user0@example.com"]
    assert set(MailIntent.objects.values_list("state", "attempts")) == {(State.SENT, 1)}


@pytest.mark.django_db(transaction=True)
def test_a_result_that_the_database_could_not_take_is_written_later(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe(*(f"user{n}@example.com" for n in range(3)))
    finish_all, failures = finishing.finish_all, iter(range(3))

    def fails(ended: object, *, held: bool) -> None:
        if ended and next(failures, None) is not None:
            raise OperationalError("away")
        finish_all(ended, held=held)  # type: ignore[arg-type]

    monkeypatch.setattr(finishing, "finish_all", fails)
    monkeypatch.setattr(sending, "database_works", lambda: False)
    for _ in range(3):
        with pytest.raises(OperationalError):
            sending.send_due_mails(always)
    sending.send_due_mails(always)

    assert sorted(mailbox.recipients) == [f"user{n}@example.com" for n in range(3)]
    assert set(MailIntent.objects.values_list("state", "attempts")) == {(State.SENT, 1)}


@pytest.mark.django_db(transaction=True)
def test_a_result_that_cannot_be_written_costs_no_other(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox.pause_at_data = 0.05
    mailbox.answer_rcpt["user9@example.com"] = "550 5.1.1 no such user"
    subscribe(*(f"user{n}@example.com" for n in range(12)))

    def fails(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(MailIntent, "failed", fails)
    with pytest.raises(ZeroDivisionError):
        sending.send_due_mails(always)

    states = sorted(MailIntent.objects.values_list("state", flat=True))
    assert states.count(State.SENDING) == 1
    assert states.count(State.SENT) == len(mailbox.mails)


def test_a_server_that_is_full_at_the_end_gets_fewer_at_a_time(
    mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    mailbox.most_mails, mailbox.pause_at_data = 3, 0.02
    subscribe(*(f"user{n}@example{n % 4}.com" for n in range(40)))

    while MailIntent.objects.filter(next_attempt_at__isnull=False).exists():
        sending.send_due_mails(always)

    assert len(mailbox.mails) == 40
    assert set(MailIntent.objects.values_list("state", "attempts")) == {(State.SENT, 1)}
    assert [r for r in caplog.records if r.levelname == "ERROR"] == []


def test_what_exits_ends_no_worker(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def exits(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(Letters, "compose", exits)
    subscribe("ada@example.com")

    with pytest.raises(RuntimeError, match="SystemExit"):
        sending.send_due_mails(always)


def test_a_connection_that_never_answers_is_given_up(
    mailbox: Mailbox, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EMAIL_TIMEOUT, settings.EMAIL_ACCEPT_TIMEOUT = 0.5, 0.1
    answered, compose = threading.Event(), Letters.compose

    def hangs(self: Letters, intent: MailIntent) -> Mail:
        answered.wait(30)
        return compose(self, intent)

    monkeypatch.setattr(Letters, "compose", hangs)
    subscribe("ada@example.com")

    assert sending.send_due_mails(always) == 1

    answered.set()
    assert MailIntent.objects.get().state == State.UNKNOWN
    eventually(lambda: [t for t in threading.enumerate() if "mail conn" in t.name] == [])
    assert mailbox.mails == []
