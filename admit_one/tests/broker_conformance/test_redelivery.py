"""Unacknowledged messages are redelivered, and marked as such."""

from __future__ import annotations

import time

import pytest
from amqp.exceptions import (
    NotFound,
)

from tests.brokers import (
    QUORUM,
    Broker,
    Inbox,
    publish,
)


def test_requeued_message_comes_first_and_is_marked_redelivered(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel, x_delivery_limit=20, **QUORUM)
    publish(broker, ["a", "b", "c"], "", queue)
    inbox = Inbox(channel, queue, prefetch=1)

    channel.basic_reject(inbox.wait_for(1)[0].delivery_tag, requeue=True)
    again = inbox.wait_for(2)[1]

    assert again.body == "a"
    assert again.delivery_info["redelivered"] is True
    assert again.headers["x-delivery-count"] == 1
    assert inbox.messages[0].delivery_info["redelivered"] is False
    assert "x-delivery-count" not in (inbox.messages[0].headers or {})


def test_closed_connection_requeues_unacknowledged_messages_in_order(broker: Broker) -> None:
    connection = broker.connect()
    channel = connection.channel()
    queue = broker.queue(channel, x_delivery_limit=20, **QUORUM)
    publish(broker, ["a", "b", "c"], "", queue)
    Inbox(channel, queue).wait_for(3)

    connection.release()
    messages = Inbox(broker.channel(), queue).wait_for(3)

    assert [message.body for message in messages] == ["a", "b", "c"]
    assert [message.delivery_info["redelivered"] for message in messages] == [True] * 3


def test_abandoned_connection_requeues_its_messages(broker: Broker) -> None:
    connection = broker.connect()
    channel = connection.channel()
    queue = broker.queue(channel)
    publish(broker, ["a"], "", queue)
    Inbox(channel, queue).wait_for(1)

    connection.collect()

    assert Inbox(broker.channel(), queue).bodies(1) == ["a"]


def test_closed_channel_requeues_only_its_own_messages(broker: Broker) -> None:
    connection = broker.connect()
    one, two = connection.channel(), connection.channel()
    queue = broker.queue(one)
    publish(broker, ["a", "b"], "", queue)
    Inbox(one, queue, prefetch=1).wait_for(1)
    kept = Inbox(two, queue, prefetch=1)
    kept.wait_for(1)

    one.close()
    two.basic_ack(kept.messages[0].delivery_tag)

    assert kept.bodies(2) == ["b", "a"]


def test_channel_error_ends_its_consumers_and_requeues_their_messages(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, ["a", "b"], "", queue)
    inbox = Inbox(channel, queue, prefetch=1)
    inbox.wait_for(1)

    with pytest.raises(NotFound):
        channel.queue_declare(broker.prefix + "none", passive=True)

    assert sorted(Inbox(broker.channel(), queue).bodies(2)) == ["a", "b"]
    assert len(inbox.messages) == 1


def test_messages_of_a_killed_process_are_requeued_at_once(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel, x_delivery_limit=20, **QUORUM)
    publish(broker, ["a", "b"], "", queue)
    holder = broker.process("hold", queue, 2)
    assert holder.stdout
    assert holder.stdout.readline() == "holding\n"
    inbox = Inbox(channel, queue)

    holder.kill()
    killed = time.monotonic()
    messages = inbox.wait_for(2)
    seconds = time.monotonic() - killed

    assert [message.body for message in messages] == ["a", "b"]
    assert [message.headers["x-delivery-count"] for message in messages] == [1, 1]
    assert seconds < 2  # no lease: the kernel tells
