"""What is published, in which order, and what is marked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from admit_one.messaging import outbox
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.outgoing.publisher import Outgoing
from admit_one.messaging.outgoing.relay import Relay
from django.db import transaction

from tests import rabbit
from tests.relay.steps import KEY, publish, unsent

pytestmark = pytest.mark.django_db(transaction=True)


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


def test_a_long_subject_in_another_script_goes_out(publisher, queue):
    """AMQP's properties take 255 bytes, an envelope's names 255 characters."""
    [envelope] = publish()
    subject = "заказ-" * 42
    with transaction.atomic():
        outbox.publish(replace(envelope, id=subject, subject=subject))

    Relay().relay_batch(publisher)

    assert unsent().count() == 0


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

    assert publisher._answers.confirmed == {1, 2, 3}
    assert publisher._answers.refused == {5}
    assert [m.key for m in publisher._waiting.values()] == [4, 6]
