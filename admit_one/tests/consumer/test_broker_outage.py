"""The consumer survives the broker's outages, and waits for its queue."""

from __future__ import annotations

import pytest
from admit_one.messaging.models import InboxMessage, SetAside

from tests import rabbit
from tests.consumer.steps import empty, handled, requests, send
from tests.processes import broker_url
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_broker_outage_is_logged_once_and_survived(start, prefix, broker_gate):
    process = start("consume_events", TEST_BROKER_URL=broker_url(broker_gate.port)).until_ready()
    broker_gate.close()
    process.until(" waits: ")
    send(prefix, *requests(3))
    broker_gate.open()
    eventually(lambda: handled() == 3)

    assert process.said(" waits: ") == 1
    assert process.said(" works again after ") == 1
    assert process.stop()[0] == 0


def test_broken_connections_lose_no_message_and_repeat_no_effect(start, prefix, broker_gate):
    process = start("consume_events", TEST_BROKER_URL=broker_url(broker_gate.port)).until_ready()
    messages = requests(300, user_id="slow-0.002")
    for part in range(3):
        send(prefix, *messages[part * 100 : part * 100 + 100])
        broker_gate.cut()
        broker_gate.until_accepted(part + 2)
    eventually(lambda: handled() == 300 and empty(prefix))

    assert InboxMessage.objects.count() == 300
    assert SetAside.objects.count() == 0
    assert process.stop()[0] == 0


def test_a_silent_broker_is_noticed_and_disconnected(start, prefix, broker_gate):
    """Two heartbeats of 10 s: nothing else tells a silent broker from an idle one."""
    process = start("consume_events", TEST_BROKER_URL=broker_url(broker_gate.port)).until_ready()
    broker_gate.silence()
    send(prefix, *requests(1))

    process.until(" waits: ", 45)
    broker_gate.open()
    eventually(lambda: handled() == 1)


def test_the_consumer_waits_for_a_missing_queue(start, prefix):
    rabbit.delete(prefix)
    process = start("consume_events").until("manage.py declare_topology")

    rabbit.declare(prefix)
    process.until_ready()
    send(prefix, *requests(1))

    eventually(lambda: handled() == 1)


def test_a_running_consumer_notices_a_deleted_queue_and_waits_for_it(start, prefix):
    process = start("consume_events").until_ready()
    rabbit.delete(prefix)
    process.until(" waits: ")

    rabbit.declare(prefix)
    process.until(" works again after ")
    send(prefix, *requests(1))

    eventually(lambda: handled() == 1)
