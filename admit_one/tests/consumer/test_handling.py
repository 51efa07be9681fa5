"""Every message has its effect once, with one consumer, with several, and in many copies."""

from __future__ import annotations

import pytest
from admit_one.messaging.models import InboxMessage

from tests.consumer.steps import empty, handled, requests, send
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def test_waiting_and_new_messages_are_handled_and_acknowledged(start, prefix):
    send(prefix, *requests(20))
    process = start("consume_events").until_ready()
    eventually(lambda: handled() == 20)
    send(prefix, *requests(10))
    eventually(lambda: handled() == 30)

    assert process.stop()[0] == 0
    assert empty(prefix)
    assert process.said("consumer: handles user_subscribed") == 1


def test_two_consumers_share_the_work_and_each_event_has_one_effect(start, prefix):
    messages = requests(200)
    consumers = [start("consume_events").until_ready() for _ in range(2)]
    send(prefix, *messages, *messages[:50])
    eventually(lambda: InboxMessage.objects.count() == 200 and empty(prefix))

    assert {c.stop()[0] for c in consumers} == {0}
    assert handled() == 200
    assert empty(prefix)


def test_thousands_of_copies_have_one_effect(start, prefix):
    [request] = requests(1)
    start("consume_events").until_ready()
    send(prefix, *[request] * 1_000)
    eventually(lambda: empty(prefix))
    eventually(lambda: handled() == 1)

    assert InboxMessage.objects.count() == 1
