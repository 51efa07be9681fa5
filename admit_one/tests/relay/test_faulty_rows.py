"""A row that cannot be published is paused, and blocks no other."""

from __future__ import annotations

from contextlib import suppress

import pytest
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.outgoing import closed_keys
from admit_one.messaging.outgoing.publisher import ConfirmsMissing, Publisher
from admit_one.messaging.outgoing.relay import Relay
from amqp.exceptions import AMQPError, PreconditionFailed
from django.db.models.functions import Now

from tests import rabbit
from tests.relay.steps import KEY, publish, unsent

pytestmark = pytest.mark.django_db(transaction=True)


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


def test_what_was_refused_is_published_as_soon_as_the_broker_takes_another_again(
    prefix, publisher, queue, monkeypatch
):
    monkeypatch.setattr("admit_one.messaging.outgoing.relay.FIRST_PAUSE", 3600.0)
    full = f"{prefix}full"
    with rabbit.channel() as channel:
        channel.queue_declare(
            full, durable=True, arguments={"x-max-length": 2, "x-overflow": "reject-publish"}
        )
        channel.queue_bind(full, f"{prefix}student_service.events", KEY)
        relay = Relay()
        publish(40)
        relay.relay_batch(publisher)
        while_it_is_full = unsent().count(), unsent().due().count()
        channel.queue_delete(full)

    publish()
    relay.relay_batch(publisher)
    relay.relay_batch(publisher)

    assert while_it_is_full[0] > 0
    assert while_it_is_full[1] == 0
    assert unsent().count() == 0


class ChannelCloses(Publisher):
    """The broker's answer to one message, which no honest broker gives to ours."""

    bad = ""

    def publish(self, batch, timeout):
        if any(message.message_id == self.bad for message in batch):
            raise PreconditionFailed("the message is not to my taste")
        return super().publish(batch, timeout)


class Slow(Publisher):
    """A broker that has the time for 20 messages, and gets them all."""

    def publish(self, batch, timeout):
        if len(batch) > 20:
            self.send(batch)
            raise ConfirmsMissing("not in time")
        return super().publish(batch, timeout)


def relayed(publisher, connection, prefix) -> int:
    """Relay until nothing is left, each time with a new publisher after an error; its errors."""
    relay, errors = Relay(), 0
    for _ in range(400):
        fresh = publisher(connection, f"{prefix}student_service.events", "student_service")
        try:
            while relay.relay_batch(fresh):
                pass
        except AMQPError:
            errors += 1
        else:
            break
    return errors


def test_a_row_that_closes_the_channel_is_found_and_paused(
    messaging, monkeypatch, connection, prefix, queue
):
    """Alone in its batch it is blamed; the rows around it go out."""
    messaging(RELAY_BATCH=100)
    envelopes = publish(100)
    monkeypatch.setattr(ChannelCloses, "bad", envelopes[90].id)

    errors = relayed(ChannelCloses, connection, prefix)

    [row] = unsent()
    assert (row.event_id, row.attempts) == (envelopes[90].id, 1)
    assert "not to my taste" in row.last_error
    assert len(rabbit.take_all(queue)) == 99
    assert errors <= 8  # it is not come to by one row a connection


def test_a_row_that_closes_the_channel_is_found_beside_closed_keys(
    monkeypatch, connection, prefix, queue
):
    """The probe of a closed key is due each time: connections that fail come further apart."""
    monkeypatch.setattr(closed_keys, "FIRST_PROBE", 0.0)
    monkeypatch.setattr(closed_keys, "LAST_PROBE", 0.0)
    [unroutable], [bad] = publish(), publish()
    OutboxMessage.objects.filter(event_id=unroutable.id).update(type="nobody_wants_it")
    monkeypatch.setattr(ChannelCloses, "bad", bad.id)
    relay = Relay()

    for _ in range(10):
        publisher = ChannelCloses(connection, f"{prefix}student_service.events", "student_service")
        with suppress(AMQPError):
            relay.relay_batch(publisher)
        OutboxMessage.objects.filter(attempts=0).update(next_attempt_at=Now())

    assert OutboxMessage.objects.get(event_id=bad.id).attempts == 1


def test_a_slow_broker_gets_smaller_batches_not_the_same_rows_forever(
    messaging, connection, prefix, queue
):
    messaging(RELAY_BATCH=100)
    publish(200)

    relayed(Slow, connection, prefix)

    assert unsent().count() == 0
    assert rabbit.depth(queue) < 3 * 200
