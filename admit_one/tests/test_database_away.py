"""PostgreSQL leaves and comes back: the same batch is done, and no message is to blame."""

from __future__ import annotations

import time

import pytest
from admit_one.messaging import outbox
from admit_one.messaging.models import OutboxMessage, SetAside
from admit_one.messaging.testing import an_envelope
from admit_one.sealing.models import KeyCanary
from django.db import connection, transaction
from shared_contracts.events import AccessCodeCreated, UserSubscribed

from tests import rabbit
from tests.models import Effect
from tests.processes import database_url, eventually

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
def test_it_stops_while_the_database_refuses_connections(start, database_proxy, command):
    process = start(command, DATABASE_URL=database_url(database_proxy.port)).until_ready()
    database_proxy.refuse()
    eventually(lambda: process.said("the database is away") or process.said(" waits: "))

    code, seconds = process.stop()

    assert code == 0
    assert seconds < 5


@both
def test_it_stops_when_the_database_was_never_there(start, database_proxy, command):
    database_proxy.refuse()
    process = start(command, DATABASE_URL=database_url(database_proxy.port)).until(" waits: ")

    code, seconds = process.stop()

    assert code == 0
    assert seconds < 5


@both
def test_it_stops_while_the_database_takes_queries_and_never_answers(
    start, database_proxy, command
):
    process = start(command, DATABASE_URL=database_url(database_proxy.port)).until_ready()
    database_proxy.silence()
    time.sleep(1.5)  # its clock ticks each second, and then it asks the database

    code, seconds = process.stop()

    assert code == 0
    assert seconds < 10


def test_it_stops_while_it_holds_a_batch_for_the_database(start, prefix, database_proxy):
    process = start("consume_events", DATABASE_URL=database_url(database_proxy.port)).until_ready()
    database_proxy.refuse()
    send(prefix, 3)
    process.until("the database is away")

    code, seconds = process.stop()

    assert code == 0
    assert seconds < 5
    eventually(lambda: rabbit.depth(f"{prefix}student_service.inbox") == 3)


# coming back


def test_a_batch_held_during_an_outage_is_handled_after_it(start, prefix, database_proxy):
    process = start("consume_events", DATABASE_URL=database_url(database_proxy.port)).until_ready()
    database_proxy.refuse()
    send(prefix, 20)
    process.until("the database is away")
    database_proxy.listen_again()
    eventually(lambda: Effect.objects.count() == 20)

    assert SetAside.objects.count() == 0
    assert process.said("the database is away") == 1
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


def test_the_relay_waits_for_the_database_and_logs_it_once(start, outbox_queue, database_proxy):
    process = start("relay_outbox", DATABASE_URL=database_url(database_proxy.port)).until_ready()
    database_proxy.refuse()
    process.until(" waits: ")
    publish(5)
    database_proxy.listen_again()
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
        process.until("the database is away")
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    eventually(lambda: Effect.objects.count() == 5)

    assert SetAside.objects.count() == 0
    assert process.stop()[0] == 0


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


def test_a_process_with_a_wrong_key_ends_once_the_database_returns(start, database_proxy):
    KeyCanary.objects.create(setting="SEALING_KEYS", key_id="k1", value=b"of another key")
    database_proxy.refuse()
    process = start("guarded", DATABASE_URL=database_url(database_proxy.port)).until_ready()
    waited = process.exit_code is None
    database_proxy.listen_again()

    assert process.wait() == 1
    assert waited
    assert process.said("SEALING_KEYS: expected the key 'k1'") == 1


def test_the_relay_compares_its_keys_once_the_database_returns(start, database_proxy):
    KeyCanary.objects.create(setting="SEALING_KEYS", key_id="k1", value=b"of another key")
    database_proxy.refuse()
    process = start("relay_outbox", DATABASE_URL=database_url(database_proxy.port))
    process.until(" waits: ")
    database_proxy.listen_again()

    assert process.wait() == 1
    assert process.said("SEALING_KEYS: expected the key 'k1'") == 1
