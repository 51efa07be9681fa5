"""Events to which no queue is bound wait, and keep no other waiting."""

from __future__ import annotations

import time

import pytest
from admit_one.messaging.models import NO_QUEUE, OutboxMessage
from admit_one.messaging.outgoing import closed_keys
from admit_one.messaging.outgoing.publisher import Publisher
from admit_one.messaging.outgoing.relay import Relay

from tests import rabbit
from tests.relay.steps import KEY, publish, unsent
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def test_unroutable_events_wait_uncounted_until_a_queue_is_bound(prefix, publisher, caplog):
    envelopes = publish(5)
    relay = Relay()

    for _ in range(10):
        relay.relay_batch(publisher)

    assert unsent().count() == 5
    assert set(OutboxMessage.objects.values_list("attempts", flat=True)) == {0}
    assert OutboxMessage.objects.filter(last_error__startswith=NO_QUEUE).count() == 1
    assert caplog.text.count("no queue is bound to") == 1
    queue = rabbit.bind(prefix, "student_service.events", KEY)
    bound = time.monotonic()
    eventually(lambda: relay.relay_batch(publisher) == 0 and unsent().count() == 0)
    assert time.monotonic() - bound < closed_keys.LAST_PROBE + 2
    assert sorted(p.message_id for p, _ in rabbit.take_all(queue)) == sorted(
        e.id for e in envelopes
    )
    assert caplog.text.count("a queue is bound to") == 1


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
