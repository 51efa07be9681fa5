"""How messages reach a consumer, and how a consumer ends."""

from __future__ import annotations

import threading

import pytest
from amqp.exceptions import (
    ConsumerCancelled,
)

from tests.brokers import (
    QUORUM,
    Broker,
    Inbox,
    drain_until,
    eventually,
    publish,
)


def test_messages_arrive_in_the_order_they_were_published(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    bodies = [str(number) for number in range(1000)]

    publish(broker, bodies, "", queue)

    assert Inbox(channel, queue, prefetch=50, no_ack=True).bodies(1000) == bodies


def test_waiting_consumer_receives_what_others_publish(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    inbox = Inbox(channel, queue)
    with pytest.raises(TimeoutError):
        channel.connection.drain_events(timeout=0.01)
    publisher = threading.Thread(target=publish, args=(broker, ["news"], "", queue))

    publisher.start()

    assert inbox.bodies(1) == ["news"]
    publisher.join()


def test_cancelled_consumer_receives_nothing_more(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    inbox = Inbox(channel, queue)

    channel.basic_cancel(inbox.tag)
    publish(broker, ["later"], "", queue)

    eventually(lambda: channel.queue_declare(queue, passive=True)[1:], (1, 0))
    assert inbox.messages == []


def test_cancelling_loses_no_message_in_flight(broker: Broker) -> None:
    connection = broker.connect()
    channel = connection.channel()
    queue = broker.queue(channel, **QUORUM)
    publish(broker, list("abcde"), "", queue)
    inbox = Inbox(channel, queue, prefetch=5)
    connection.drain_events(timeout=10)

    channel.basic_cancel(inbox.tag)
    connection.release()

    assert sorted(Inbox(broker.channel(), queue).bodies(5)) == list("abcde")


def test_deleting_a_queue_calls_on_cancel_of_its_consumers(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    cancelled: list[str] = []
    tag = channel.basic_consume(queue, callback=print, on_cancel=cancelled.append)

    broker.channel().queue_delete(queue)
    drain_until(channel, lambda: bool(cancelled))

    assert cancelled == [tag]


def test_deleting_a_queue_raises_in_consumers_without_on_cancel(
    broker: Broker,
) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    inbox = Inbox(channel, queue)

    broker.channel().queue_delete(queue)

    with pytest.raises(ConsumerCancelled):
        inbox.wait_for(1)
