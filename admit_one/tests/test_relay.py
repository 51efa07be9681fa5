"""Outbox to broker: every row goes out, whatever happens to a row, the broker or the relay."""

from __future__ import annotations

import json
import signal
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from admit_one.contract.envelope import Envelope
from admit_one.messaging import outbox
from admit_one.messaging.broker import connection as broker
from admit_one.messaging.models import NOBODY_BOUND, OutboxMessage
from admit_one.messaging.outgoing import closed_keys
from admit_one.messaging.outgoing.publisher import ConfirmsMissing, Outgoing, Publisher
from admit_one.messaging.outgoing.relay import Relay
from admit_one.messaging.testing import an_envelope
from amqp.exceptions import AMQPError, PreconditionFailed
from django.db import transaction
from shared_contracts.events import AccessCodeCreated

from tests import rabbit
from tests.processes import broker_url, eventually

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "access_code_created"


def publish(number=1) -> list[Envelope[Any]]:
    envelopes = [an_envelope(AccessCodeCreated) for _ in range(number)]
    with transaction.atomic():
        outbox.publish(*envelopes)
    return envelopes


def unsent():
    return OutboxMessage.objects.unsent()


@pytest.fixture
def connection(prefix):
    connection = broker.connect("test relay")
    yield connection
    broker.close(connection)


@pytest.fixture
def publisher(connection, prefix):
    return Publisher(connection, f"{prefix}student_service.events", "student_service")


@pytest.fixture
def queue(prefix):
    return rabbit.bind(prefix, "student_service.events", KEY)


# what is sent


def test_rows_are_published_in_order_and_marked(publisher, queue):
    envelopes = publish(3)

    looked = Relay().relay_batch(publisher)

    assert looked == 3
    assert [body for _, body in rabbit.take_all(queue)] == [e.to_json() for e in envelopes]
    assert unsent().count() == 0
    assert Relay().relay_batch(publisher) == 0


def test_message_properties_identify_the_event_in_the_management_page(publisher, queue):
    [envelope] = publish()
    before = datetime.now(UTC).timestamp()

    Relay().relay_batch(publisher)

    [(properties, _)] = rabbit.take_all(queue)
    assert properties.content_type == "application/cloudevents+json"
    assert properties.content_encoding == "utf-8"
    assert properties.delivery_mode == 2
    assert properties.message_id == envelope.id
    assert properties.type == KEY
    assert properties.app_id == "student_service"
    assert properties.correlation_id == envelope.subject
    assert abs(properties.timestamp - before) < 60


def test_more_rows_than_a_batch_are_published_in_batches(messaging, publisher, queue):
    messaging(RELAY_BATCH=10)
    envelopes = publish(25)
    relay = Relay()

    looked = [relay.relay_batch(publisher) for _ in range(4)]

    assert looked == [10, 10, 5, 0]
    assert [p.message_id for p, _ in rabbit.take_all(queue)] == [e.id for e in envelopes]


def test_a_row_waits_until_its_time(publisher, queue):
    publish()
    OutboxMessage.objects.update(next_attempt_at="2100-01-01T00:00Z")

    assert Relay().relay_batch(publisher) == 0
    assert rabbit.depth(queue) == 0


# nobody is bound


def test_unroutable_events_wait_uncounted_until_a_queue_is_bound(prefix, publisher, caplog):
    envelopes = publish(5)
    relay = Relay()

    for _ in range(10):
        relay.relay_batch(publisher)

    assert unsent().count() == 5
    assert set(OutboxMessage.objects.values_list("attempts", flat=True)) == {0}
    assert OutboxMessage.objects.filter(last_error__startswith=NOBODY_BOUND).count() == 1
    assert caplog.text.count("nobody is bound to") == 1
    queue = rabbit.bind(prefix, "student_service.events", KEY)
    bound = time.monotonic()
    eventually(lambda: relay.relay_batch(publisher) == 0 and unsent().count() == 0)
    assert time.monotonic() - bound < closed_keys.LAST_PROBE + 2
    assert sorted(p.message_id for p, _ in rabbit.take_all(queue)) == sorted(
        e.id for e in envelopes
    )
    assert caplog.text.count("somebody is bound to") == 1


def test_a_closed_key_is_probed_with_one_row(connection, prefix):
    sent = []

    class Counting(Publisher):
        def publish(self, batch, timeout):
            sent.append(len(batch))
            return super().publish(batch, timeout)

    publisher = Counting(connection, f"{prefix}student_service.events", "student_service")
    publish(20)
    relay = Relay()
    deadline = time.monotonic() + 2.5
    while time.monotonic() < deadline:
        relay.relay_batch(publisher)

    assert sent[0] == 20
    assert 1 <= len(sent[1:]) <= 3
    assert set(sent[1:]) == {1}


def test_events_of_other_types_flow_while_a_key_is_closed(prefix, publisher):
    blocked = publish(3)
    other = rabbit.bind(prefix, "student_service.events", "another_type")
    relay = Relay()
    relay.relay_batch(publisher)
    [row] = publish()
    OutboxMessage.objects.filter(event_id=row.id).update(type="another_type")

    relay.relay_batch(publisher)

    assert [p.message_id for p, _ in rabbit.take_all(other)] == [row.id]
    assert set(unsent().values_list("event_id", flat=True)) == {e.id for e in blocked}


# a row's own fault


def test_a_row_that_does_not_unseal_blocks_no_other(messaging, publisher, queue):
    messaging(RELAY_BATCH=3)
    bad, good = publish(3), publish(2)
    OutboxMessage.objects.filter(event_id__in=[e.id for e in bad]).update(body=b"\x02k1broken")
    relay = Relay()

    relay.relay_batch(publisher)
    relay.relay_batch(publisher)

    assert [p.message_id for p, _ in rabbit.take_all(queue)] == [e.id for e in good]
    rows = unsent()
    assert {(row.attempts, row.event_id) for row in rows} == {(1, e.id) for e in bad}
    assert all("sealed with key 'k1'" in row.last_error for row in rows)
    assert not unsent().due().exists()


def test_a_refused_row_is_counted_and_paused_without_blocking_others(
    prefix, publisher, monkeypatch
):
    """A full queue that rejects publishes answers with a nack, as a third party's may."""
    monkeypatch.setattr("admit_one.messaging.outgoing.relay.FIRST_PAUSE", 60.0)
    full = f"{prefix}third_party"
    with rabbit.channel() as channel:
        channel.queue_declare(
            full, durable=True, arguments={"x-max-length": 2, "x-overflow": "reject-publish"}
        )
        channel.queue_bind(full, f"{prefix}student_service.events", KEY)
    publish(40)

    Relay().relay_batch(publisher)

    refused = unsent()
    assert 0 < refused.count() < 40
    assert {(row.attempts, row.last_error) for row in refused} == {
        (1, "the broker refused it (nack)")
    }
    assert not unsent().due().exists()
    marked = OutboxMessage.objects.filter(published_at__isnull=False)
    arrived = [p.message_id for p, _ in rabbit.take_all(full)]
    assert sorted(marked.values_list("event_id", flat=True)) == sorted(arrived)


def test_a_row_that_closes_the_channel_is_found_and_paused(connection, prefix, queue):
    """Alone in its batch it is blamed; the rows around it go out."""
    envelopes = publish(5)
    bad = envelopes[2].id

    class ChannelCloses(Publisher):
        """The broker's answer to one message, which no honest broker gives to ours."""

        def publish(self, batch, timeout):
            if any(message.message_id == bad for message in batch):
                raise PreconditionFailed("the message is not to my taste")
            return super().publish(batch, timeout)

    relay = Relay()
    for _ in range(20):
        publisher = ChannelCloses(connection, f"{prefix}student_service.events", "student_service")
        try:
            if relay.relay_batch(publisher) == 0:
                break
        except AMQPError:
            continue

    [row] = unsent()
    assert (row.event_id, row.attempts) == (bad, 1)
    assert "not to my taste" in row.last_error
    assert len(rabbit.take_all(queue)) == 4


def test_each_confirm_is_credited_to_its_own_message(publisher):
    """In any order, several at once, twice, and for tags that nobody waits for."""
    publisher._waiting = {
        tag: Outgoing(key=tag, message_id="", type=KEY, subject="", timestamp=1, body=b"")
        for tag in range(1, 7)
    }

    publisher._on_nack(5, False)
    publisher._on_ack(2, False)
    publisher._on_ack(3, True)
    publisher._on_ack(3, True)
    publisher._on_ack(99, False)

    assert publisher._report.confirmed == {1, 2, 3}
    assert publisher._report.refused == {5}
    assert [m.key for m in publisher._waiting.values()] == [4, 6]


# the broker's fault


def test_a_broken_connection_republishes_every_row_with_the_same_id(
    messaging, prefix, queue, broker_proxy
):
    envelopes = publish(50)
    messaging(BROKER_URL=broker_url(broker_proxy.port))
    connection = broker.connect("test relay")
    publisher = Publisher(connection, f"{prefix}student_service.events", "student_service")
    broker_proxy.cut()
    relay = Relay()

    with pytest.raises(broker.BROKER_ERRORS):
        relay.relay_batch(publisher)

    broker.drop(connection)
    assert unsent().count() == 50
    assert set(OutboxMessage.objects.values_list("attempts", flat=True)) == {0}
    again = broker.connect("test relay")
    publisher = Publisher(again, f"{prefix}student_service.events", "student_service")
    eventually(lambda: relay.relay_batch(publisher) == 0)
    broker.close(again)
    assert {p.message_id for p, _ in rabbit.take_all(queue)} == {e.id for e in envelopes}
    assert unsent().count() == 0


def test_late_confirms_of_a_silent_broker_are_credited_to_no_row(
    messaging, prefix, queue, broker_proxy
):
    messaging(BROKER_URL=broker_url(broker_proxy.port), CONFIRM_TIMEOUT=1.0)
    connection = broker.connect("test relay")
    publisher = Publisher(connection, f"{prefix}student_service.events", "student_service")
    relay = Relay()
    publish(3)
    broker_proxy.silence()

    started = time.monotonic()
    with pytest.raises(ConfirmsMissing, match="3 of 3 messages not confirmed in time"):
        relay.relay_batch(publisher)

    assert 1 <= time.monotonic() - started < 3
    assert unsent().count() == 3
    broker.drop(connection)
    broker_proxy.carry()  # the three and their confirms go through now, to nobody
    again = broker.connect("test relay")
    publisher = Publisher(again, f"{prefix}student_service.events", "student_service")
    with rabbit.channel() as channel:
        channel.queue_unbind(queue, f"{prefix}student_service.events", KEY)
    relay.relay_batch(publisher)
    assert unsent().count() == 3
    broker.close(again)


def test_after_a_silence_one_row_is_tried_first(messaging, prefix, queue, broker_proxy):
    messaging(BROKER_URL=broker_url(broker_proxy.port), CONFIRM_TIMEOUT=0.5)
    connection = broker.connect("test relay")
    publisher = Publisher(connection, f"{prefix}student_service.events", "student_service")
    relay = Relay()
    publish(10)
    broker_proxy.silence()
    with pytest.raises(ConfirmsMissing):
        relay.relay_batch(publisher)
    broker.drop(connection)
    broker_proxy.carry()

    again = broker.connect("test relay")
    publisher = Publisher(again, f"{prefix}student_service.events", "student_service")
    looked = [relay.relay_batch(publisher), relay.relay_batch(publisher)]
    broker.close(again)

    assert looked == [1, 9]


# real processes


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
        time.sleep(0.3)  # until it waits for its clock again
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


def test_repeatedly_broken_connections_lose_no_row(start, queue, broker_proxy):
    process = start("relay_outbox", TEST_BROKER_URL=broker_url(broker_proxy.port)).until_ready()
    sent = []
    for round_ in range(1, 4):
        sent += publish(200)
        broker_proxy.cut()
        broker_proxy.until_accepted(round_ + 1)
    eventually(lambda: unsent().count() == 0)

    assert {p.message_id for p, _ in rabbit.take_all(queue)} == {e.id for e in sent}
    assert process.stop()[0] == 0


def test_a_broker_outage_is_logged_once_and_survived(start, queue, broker_proxy):
    process = start("relay_outbox", TEST_BROKER_URL=broker_url(broker_proxy.port)).until_ready()
    broker_proxy.refuse()
    process.until(" waits: ")
    publish(3)
    time.sleep(3)  # several tries to connect
    broker_proxy.listen_again()
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
