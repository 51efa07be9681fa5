"""The process itself: real relays, killed, cut off, and beside each other."""

from __future__ import annotations

import json
import signal
import time

import pytest

from tests import rabbit
from tests.processes import broker_url
from tests.relay.steps import KEY, publish, unsent
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_process_publishes_waiting_and_new_rows_at_once(start, queue):
    [before] = publish()
    process = start("relay_outbox").until_ready()
    eventually(lambda: unsent().count() == 0)
    publish()
    eventually(lambda: unsent().count() == 0)

    assert rabbit.depth(queue) == 2
    assert process.said("relay: publishes access_code_created, ") == 1
    assert not process.said("guest:guest")
    assert process.stop()[0] == 0
    assert rabbit.take_all(queue)[0][0].message_id == before.id


def test_a_row_is_published_soon_after_its_commit(start, queue):
    """Woken, not by the clock: the clock alone would need half a second on average."""
    start("relay_outbox").until_ready()
    waits = []
    for _ in range(8):
        eventually(lambda: unsent().count() == 0)
        time.sleep(0.3)  # idle time is what is tested: busy, it would see the row without a wake-up
        publish()
        committed = time.monotonic()
        eventually(lambda: unsent().count() == 0)
        waits.append(time.monotonic() - committed)

    assert sorted(waits)[len(waits) // 2] < 0.25


def test_two_concurrent_relays_publish_every_row_once(start, queue):
    """On PostgreSQL they share the rows; on SQLite one works and the other stands by."""
    for relay in (start("relay_outbox"), start("relay_outbox")):
        eventually(caught_up(relay))
    envelopes = [e for _ in range(20) for e in publish(60)]
    eventually(lambda: unsent().count() == 0)

    ids = [p.message_id for p, _ in rabbit.take_all(queue)]

    assert sorted(ids) == sorted(e.id for e in envelopes)


def caught_up(relay):
    return lambda: relay.said(" ready") or relay.said("stands by")


def test_a_kill_between_confirm_and_mark_republishes_the_same_ids(start, queue):
    envelopes = publish(20)
    process = start("relay_that_dies")
    assert process.wait() == -signal.SIGKILL
    assert rabbit.depth(queue) == 20
    assert unsent().count() == 20

    start("relay_outbox").until_ready()
    eventually(lambda: unsent().count() == 0)

    ids = [p.message_id for p, _ in rabbit.take_all(queue)]
    assert sorted(ids) == sorted([e.id for e in envelopes] * 2)


def test_repeatedly_broken_connections_lose_no_row(start, queue, broker_gate):
    process = start("relay_outbox", TEST_BROKER_URL=broker_url(broker_gate.port)).until_ready()
    sent = []
    for round_ in range(1, 4):
        sent += publish(200)
        broker_gate.cut()
        broker_gate.until_accepted(round_ + 1)
    eventually(lambda: unsent().count() == 0)

    assert {p.message_id for p, _ in rabbit.take_all(queue)} == {e.id for e in sent}
    assert process.stop()[0] == 0


def test_a_broker_outage_is_logged_once_and_survived(start, queue, broker_gate):
    process = start("relay_outbox", TEST_BROKER_URL=broker_url(broker_gate.port)).until_ready()
    broker_gate.close()
    process.until(" waits: ")
    publish(3)
    broker_gate.turn_away()
    broker_gate.until_accepted(4)  # the first, and three tries in vain
    broker_gate.open()
    eventually(lambda: unsent().count() == 0)

    assert process.said(" waits: ") == 1
    assert process.said(" works again after ") == 1


def test_the_relay_waits_for_a_missing_exchange(start, prefix, queue):
    with rabbit.channel() as channel:
        channel.exchange_delete(f"{prefix}student_service.events")
    process = start("relay_outbox").until("manage.py declare_topology")
    [envelope] = publish()

    rabbit.declare(prefix)
    rabbit.bind(prefix, "student_service.events", KEY)
    process.until_ready()
    eventually(lambda: unsent().count() == 0)

    assert [json.loads(body)["id"] for _, body in rabbit.take_all(queue)] == [envelope.id]


def test_deleting_the_exchange_under_a_running_relay_loses_nothing(start, prefix, queue):
    process = start("relay_outbox").until_ready()
    with rabbit.channel() as channel:
        channel.exchange_delete(f"{prefix}student_service.events")
    envelopes = publish(5)
    process.until(" waits: NotFound: ")

    rabbit.declare(prefix)
    rabbit.bind(prefix, "student_service.events", KEY)
    eventually(lambda: unsent().count() == 0)

    ids = {p.message_id for p, _ in rabbit.take_all(queue)}
    assert ids == {e.id for e in envelopes}
