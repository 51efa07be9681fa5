"""PostgreSQL goes down and comes back: the batch is handled, and no attempt is counted."""

from __future__ import annotations

import pytest
from admit_one.database import outage
from admit_one.messaging import conf, inbox, outbox
from admit_one.messaging.models import OutboxMessage, SetAside
from admit_one.messaging.set_aside import retrying
from admit_one.messaging.testing import an_envelope
from admit_one.processes.announcer import Announcer
from admit_one.sealing.models import KeyCanary
from admit_one.tasks import outages
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections, transaction

from tests import rabbit
from tests.contract.events import AccessCodeCreated, UserSubscribed
from tests.models import Effect
from tests.processes import database_url
from tests.set_aside.test_on_dead import keep_for_its_last_retry
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)

both = pytest.mark.parametrize("command", ["consume_events", "relay_outbox"])


@pytest.fixture
def outbox_queue(prefix):
    return rabbit.bind(prefix, "student_service.events", "access_code_created")


def send(prefix, number, **changes):
    rabbit.send(prefix, *(an_envelope(UserSubscribed, **changes).to_json() for _ in range(number)))


def publish(number):
    with transaction.atomic():
        outbox.publish(*(an_envelope(AccessCodeCreated) for _ in range(number)))


def end_all_other_sessions():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


# stopping


@both
def test_it_stops_while_the_database_refuses_connections(start, database_gate, command):
    process = start(command, DATABASE_URL=database_url(database_gate.port)).until_ready()
    database_gate.close()
    eventually(lambda: process.said("the database is unavailable") or process.said(" waits: "))

    code, seconds = process.stop()

    assert code == 0
    assert seconds < 5


@both
def test_it_stops_when_the_database_was_never_available(start, database_gate, command):
    database_gate.close()
    process = start(command, DATABASE_URL=database_url(database_gate.port)).until(" waits: ")

    code, seconds = process.stop()

    assert code == 0
    assert seconds < 5


@both
def test_it_stops_while_the_database_takes_queries_and_never_answers(start, database_gate, command):
    process = start(command, DATABASE_URL=database_url(database_gate.port)).until_ready()
    database_gate.silence()
    # Its clock ticks each second, and then it asks; or it had just asked, and misses the answer.
    database_gate.until_held_back(1)

    code, seconds = process.stop()

    assert code == 0
    assert seconds < 10


def test_it_stops_while_it_holds_a_batch_for_the_database(start, prefix, database_gate):
    process = start("consume_events", DATABASE_URL=database_url(database_gate.port)).until_ready()
    database_gate.close()
    send(prefix, 3)
    process.until("the database is unavailable")

    code, seconds = process.stop()

    assert code == 0
    assert seconds < 5
    eventually(lambda: rabbit.depth(f"{prefix}student_service.inbox") == 3)


# coming back


def test_a_batch_held_during_an_outage_is_handled_after_it(start, prefix, database_gate):
    process = start("consume_events", DATABASE_URL=database_url(database_gate.port)).until_ready()
    database_gate.close()
    send(prefix, 20)
    process.until("the database is unavailable")
    database_gate.open()
    eventually(lambda: Effect.objects.count() == 20)

    assert SetAside.objects.count() == 0
    assert process.said("the database is unavailable") == 1
    assert process.stop()[0] == 0


def test_ending_database_sessions_at_work_loses_nothing(start, prefix):
    process = start("consume_events").until_ready()
    for _ in range(5):
        send(prefix, 20, user_id="slow-0.01")
        end_all_other_sessions()
    eventually(lambda: Effect.objects.count() == 100)

    assert SetAside.objects.count() == 0
    assert process.stop()[0] == 0


def test_the_relay_continues_after_its_database_sessions_end(start, outbox_queue):
    process = start("relay_outbox").until_ready()
    for _ in range(3):
        publish(20)
        end_all_other_sessions()
        eventually(lambda: OutboxMessage.objects.unsent().count() == 0)

    assert len({p.message_id for p, _ in rabbit.take_all(outbox_queue)}) == 60
    assert process.stop()[0] == 0


def test_the_relay_waits_for_the_database_and_logs_it_once(start, outbox_queue, database_gate):
    process = start("relay_outbox", DATABASE_URL=database_url(database_gate.port)).until_ready()
    database_gate.close()
    process.until(" waits: ")
    publish(5)
    database_gate.open()
    eventually(lambda: OutboxMessage.objects.unsent().count() == 0)

    assert process.said(" waits: ") == 1
    assert process.stop()[0] == 0


def test_a_read_only_database_counts_as_an_outage(start, prefix):
    """As after a fail-over to the wrong server: an InternalError, not an OperationalError."""
    process = start("consume_events").until_ready()
    name = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    try:
        end_all_other_sessions()
        send(prefix, 5)
        process.until("the database is unavailable")
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    eventually(lambda: Effect.objects.count() == 5)

    assert SetAside.objects.count() == 0
    assert process.stop()[0] == 0


def test_a_recurring_outage_costs_no_message_its_last_retry(handle):
    """It is over again before anybody asks whether the database works."""
    calls = []
    switch = connections.create_connection(DEFAULT_DB_ALIAS)

    def read_only(value):
        with switch.cursor() as cursor:
            name = switch.settings_dict["NAME"]
            cursor.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {value}')

    def fail_over(messages):
        calls.append(len(messages))
        if len(calls) == 1:
            read_only("on")
        if len(calls) <= 2:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    handle(fail_over)
    keep_for_its_last_retry(an_envelope(UserSubscribed))
    try:
        retrying.retry_one(
            conf.handlers(),
            lambda step: outage.outlast(
                step, lambda *_: read_only("off"), works=inbox.database_works
            ),
        )
    finally:
        read_only("off")
        switch.close()

    assert SetAside.objects.get().state == SetAside.State.REPLAYED
    assert calls == [1, 1, 1]


def test_a_database_error_of_one_message_sets_aside_only_that_message(start, prefix):
    """A value that the table does not take fails again and again while the database works."""
    process = start("consume_events", TEST_WIRING="tests.narrow_handlers").until_ready()
    send(prefix, 5)
    send(prefix, 1, user_id="wide")
    send(prefix, 5)
    eventually(lambda: Effect.objects.count() == 10 and SetAside.objects.count() == 1)

    assert SetAside.objects.get().error == "DataError"
    assert process.stop()[0] == 0


# keys


def test_a_process_with_a_wrong_key_ends_once_the_database_returns(start, database_gate):
    KeyCanary.objects.create(setting="SEALING_KEYS", key_id="k1", value=b"of another key")
    database_gate.close()
    process = start("guarded", DATABASE_URL=database_url(database_gate.port)).until_ready()
    process.until("the keys cannot be checked against the database yet")
    waited = process.exit_code is None
    database_gate.open()

    assert process.wait() == 1
    assert waited
    assert process.said("SEALING_KEYS: expected the key 'k1'") == 1


def test_the_relay_compares_its_keys_once_the_database_returns(start, database_gate):
    KeyCanary.objects.create(setting="SEALING_KEYS", key_id="k1", value=b"of another key")
    database_gate.close()
    process = start("relay_outbox", DATABASE_URL=database_url(database_gate.port))
    process.until(" waits: ")
    database_gate.open()

    assert process.wait() == 1
    assert process.said("SEALING_KEYS: expected the key 'k1'") == 1


# tasks


def test_tasks_say_an_outage_once_and_its_end(monkeypatch, caplog):
    monkeypatch.setattr(outages, "_announcer", Announcer())
    faults = [OperationalError("no server"), OperationalError("no server"), None]

    @outages.outlived
    def task():
        if fault := faults.pop(0):
            raise fault

    monkeypatch.setattr(inbox, "database_works", lambda: False)
    for _ in range(2):
        with pytest.raises(outage.NotNow):
            task()
    task()

    assert [record.event for record in caplog.records] == ["database_unavailable", "database_back"]


def test_a_task_with_a_fault_of_its_own_fails_as_ever():
    @outages.outlived
    def task():
        raise OperationalError("deadlock")

    with pytest.raises(OperationalError):
        task()


def test_the_last_error_of_an_outage_that_has_just_ended_fails_no_task(monkeypatch):
    monkeypatch.setattr(inbox, "database_works", lambda: True)
    faults = [OperationalError("the server closed the connection"), None]

    @outages.outlived
    def task():
        if fault := faults.pop(0):
            raise fault

    task()

    assert faults == []
