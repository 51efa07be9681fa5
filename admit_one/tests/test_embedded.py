"""The same relay and consumer on the embedded broker: what holds on RabbitMQ holds there."""

from __future__ import annotations

import signal
import time
from functools import partial

import pytest
from admit_one.messaging import outbox
from admit_one.messaging.broker import connection as broker
from admit_one.messaging.broker import topology
from admit_one.messaging.broker.topology import ServiceTopology
from admit_one.messaging.models import InboxMessage, OutboxMessage, SetAside
from admit_one.messaging.outgoing.publisher import Outgoing, Publisher
from admit_one.messaging.testing import an_envelope
from django.db import transaction

from tests.contract.events import AccessCodeCreated, UserSubscribed
from tests.contract.topology import PAYMENT, STUDENT
from tests.models import Effect
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def short_limit(monkeypatch):
    """Three deliveries instead of twenty: the rule is the same, the wait is shorter."""
    monkeypatch.setattr(topology, "DELIVERY_LIMIT", 3)


@pytest.fixture
def start(run, messaging, tmp_path):
    url = f"sqlite:///{tmp_path}/broker.sqlite3"
    messaging(BROKER_URL=url)
    connection = broker.connect("test")
    topology.declare(connection, ServiceTopology(STUDENT))
    broker.close(connection)
    return partial(run, TEST_BROKER_URL=url)


def send(*envelopes):
    """As the relay of payment_service would."""
    connection = broker.connect("test")
    publisher = Publisher(connection, PAYMENT.exchange(), PAYMENT.name)
    report = publisher.publish(
        [
            Outgoing(
                key=number,
                message_id=envelope.id,
                type=envelope.type,
                subject=envelope.subject,
                timestamp=int(time.time()),
                body=envelope.to_json(),
            )
            for number, envelope in enumerate(envelopes)
        ],
        timeout=5,
    )
    broker.close(connection)
    assert len(report.confirmed) == len(envelopes)


def requests(number, **changes):
    return [an_envelope(UserSubscribed, **changes) for _ in range(number)]


@pytest.mark.parametrize("command", ["consume_events", "relay_outbox"])
def test_it_stops_within_five_seconds(start, command):
    process = start(command).until_ready()

    code, seconds = process.stop()

    assert code == 0
    assert seconds < 5
    assert process.said("broker embedded ") == 1


def test_events_are_handled_once_despite_a_poison_message(start):
    messages = requests(50)
    messages[20] = an_envelope(UserSubscribed, user_id="fail")
    process = start("consume_events").until_ready()
    send(*messages, *messages[:10])
    eventually(lambda: Effect.objects.count() == 49 and SetAside.objects.count() == 1)

    assert process.stop()[0] == 0
    assert InboxMessage.objects.count() == 49


def test_the_next_consumer_handles_messages_of_a_killed_one_once(start):
    killed = start("consume_events").until_ready()
    send(*requests(30, user_id="slow-0.05"))
    eventually(lambda: Effect.objects.count() > 0)
    killed.signal(signal.SIGKILL)

    process = start("consume_events").until_ready()
    eventually(lambda: Effect.objects.count() == 30)

    assert SetAside.objects.count() == 0
    assert process.stop()[0] == 0
    assert Effect.objects.count() == 30


@pytest.mark.usefixtures("short_limit")
def test_a_message_that_kills_its_process_dies_and_the_others_are_handled(start):
    killer = an_envelope(UserSubscribed, user_id="kill")
    send(*requests(5), killer, *requests(5))

    def over():
        return SetAside.objects.filter(event_id=killer.id, state="dead").exists()

    def ended_or_over(process):
        return lambda: process.exit_code is not None or over()

    for _ in range(9):
        process = start("consume_events", TEST_RETRY_DELAYS="1,1")
        eventually(ended_or_over(process))
        if over():
            break

    eventually(lambda: Effect.objects.count() == 10)
    assert SetAside.objects.get().suspect


def test_unroutable_events_wait_and_go_out_once_a_queue_is_bound(start):
    process = start("relay_outbox").until_ready()
    with transaction.atomic():
        outbox.publish(*(an_envelope(AccessCodeCreated) for _ in range(20)))
    process.until("no queue is bound to")
    assert OutboxMessage.objects.unsent().count() == 20

    connection = broker.connect("test")
    topology.declare(connection, ServiceTopology(PAYMENT))
    broker.close(connection)
    eventually(lambda: OutboxMessage.objects.unsent().count() == 0)

    assert set(OutboxMessage.objects.values_list("attempts", flat=True)) == {0}
    assert process.stop()[0] == 0
