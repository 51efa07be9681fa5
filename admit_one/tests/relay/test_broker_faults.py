"""A broken or silent connection loses no row."""

from __future__ import annotations

import time

import pytest
from admit_one.contract.strict_json import MAX_BYTES
from admit_one.messaging.broker import connection as broker
from admit_one.messaging.models import OUTBOX_PURPOSE, OutboxMessage
from admit_one.messaging.outgoing.publisher import ConfirmsMissing, Publisher
from admit_one.messaging.outgoing.relay import Relay
from admit_one.sealing import cipher

from tests import rabbit
from tests.processes import broker_url
from tests.relay.steps import KEY, publish, unsent
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_broken_connection_republishes_every_row_with_the_same_id(
    messaging, prefix, queue, broker_gate
):
    envelopes = publish(50)
    messaging(BROKER_URL=broker_url(broker_gate.port))
    connection = broker.connect("test relay")
    publisher = Publisher(connection, f"{prefix}student_service.events", "student_service")
    broker_gate.cut()
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
    messaging, prefix, queue, broker_gate
):
    messaging(BROKER_URL=broker_url(broker_gate.port), CONFIRM_TIMEOUT=1.0)
    connection = broker.connect("test relay")
    publisher = Publisher(connection, f"{prefix}student_service.events", "student_service")
    relay = Relay()
    publish(3)
    broker_gate.silence()

    started = time.monotonic()
    with pytest.raises(ConfirmsMissing, match="3 of 3 messages not confirmed in time"):
        relay.relay_batch(publisher)

    assert 1 <= time.monotonic() - started < 3
    assert unsent().count() == 3
    broker.drop(connection)
    broker_gate.open()  # the three and their confirms go through now, to nobody
    again = broker.connect("test relay")
    publisher = Publisher(again, f"{prefix}student_service.events", "student_service")
    with rabbit.channel() as channel:
        channel.queue_unbind(queue, f"{prefix}student_service.events", KEY)
    relay.relay_batch(publisher)
    assert unsent().count() == 3
    broker.close(again)


@pytest.mark.parametrize("size", [100, MAX_BYTES], ids=["taken in", "no more taken in"])
def test_after_a_silence_one_row_is_tried_first(messaging, prefix, queue, broker_gate, size):
    """Whether the network has room for a whole batch or not: what it has may all come late."""
    messaging(BROKER_URL=broker_url(broker_gate.port), CONFIRM_TIMEOUT=0.5)
    connection = broker.connect("test relay")
    publisher = Publisher(connection, f"{prefix}student_service.events", "student_service")
    relay = Relay()
    publish(100)
    for row in OutboxMessage.objects.all():
        row.body = cipher.seal(bytes(size), OUTBOX_PURPOSE, row.event_id)
        row.save()
    broker_gate.silence()
    with pytest.raises(broker.BROKER_ERRORS):
        relay.relay_batch(publisher)
    broker.drop(connection)
    broker_gate.open()

    again = broker.connect("test relay")
    publisher = Publisher(again, f"{prefix}student_service.events", "student_service")
    looked = [relay.relay_batch(publisher) for _ in range(3)]
    broker.close(again)

    assert looked == [1, 2, 4]
