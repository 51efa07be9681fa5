"""Each due mail is sent once, over a few connections."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from access_codes.mails import sending
from access_codes.mails.sending import Sender
from access_codes.models import AccessCode, MailIntent
from admit_one.tasks.runs import stopping
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always, in_clear, outages, subscribe

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


def test_a_server_that_lets_in_fewer_connections_gets_all_mails(
    mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    mailbox.most_connections, mailbox.pause_at_data = 3, 0.02
    subscribe(*(f"user{n}@example.com" for n in range(30)))

    assert sending.send_due_mails(always) == 30

    assert len(mailbox.mails) == 30
    assert mailbox.most_in_hand == 3
    assert mailbox.connections <= 12  # it does not refuse one after the other
    assert outages(caplog) == []
    assert set(MailIntent.objects.values_list("state", "attempts")) == {(State.SENT, 1)}


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


def test_a_server_that_is_full_at_the_end_gets_fewer_at_a_time(
    mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    mailbox.most_mails, mailbox.pause_at_data = 3, 0.02
    subscribe(*(f"user{n}@example{n % 4}.com" for n in range(40)))

    assert sending.send_due_mails(always) == 40

    assert len(mailbox.mails) == 40
    assert set(MailIntent.objects.values_list("state", "attempts")) == {(State.SENT, 1)}
    assert [r for r in caplog.records if r.levelname == "ERROR"] == []
