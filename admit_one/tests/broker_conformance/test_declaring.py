"""Declaring, counting, purging and deleting."""

from __future__ import annotations

from typing import Any

import pytest
from amqp.exceptions import (
    NotFound,
    PreconditionFailed,
)

from tests.brokers import (
    QUORUM,
    Broker,
    Inbox,
    eventually,
    publish,
    ready,
)


def test_channel_survives_a_missing_queue_or_exchange(broker: Broker) -> None:
    channel = broker.channel()

    with pytest.raises(NotFound, match="no queue"):
        channel.queue_declare(broker.prefix + "none", passive=True)
    with pytest.raises(NotFound, match="no exchange"):
        channel.exchange_declare(broker.prefix + "none", "direct", passive=True)
    with pytest.raises(NotFound, match="no queue"):
        channel.basic_consume(broker.prefix + "none")
    assert ready(channel, broker.queue(channel)) == 0


def test_declaring_the_same_again_changes_nothing(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel, x_delivery_limit=3, **QUORUM)
    publish(broker, ["a"], "", queue)

    broker.queue(broker.channel(), x_delivery_limit=3, **QUORUM)
    broker.exchange(channel, "direct")
    broker.exchange(channel, "direct")

    eventually(lambda: ready(channel, queue), 1)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"x_max_length": 5}),
        ({"x_max_length": 5}, {"x_max_length": 6}),
        ({"x_delivery_limit": 3, **QUORUM}, {"x_delivery_limit": 4, **QUORUM}),
        (QUORUM, {}),
    ],
)
def test_declaring_a_queue_differently_fails_a_precondition(
    broker: Broker, first: dict[str, Any], second: dict[str, Any]
) -> None:
    channel = broker.channel()
    broker.queue(channel, **first)

    with pytest.raises(PreconditionFailed, match="inequivalent arg"):
        broker.queue(channel, **second)


def test_declaring_an_exchange_differently_fails_a_precondition(broker: Broker) -> None:
    channel = broker.channel()
    broker.exchange(channel, "direct")

    with pytest.raises(PreconditionFailed, match="inequivalent arg 'type'"):
        broker.exchange(channel, "fanout")


def test_declare_counts_ready_messages_and_consumers(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, ["a", "b", "c"], "", queue)
    Inbox(channel, queue, prefetch=1).wait_for(1)

    eventually(lambda: tuple(channel.queue_declare(queue, passive=True)), (queue, 2, 1))


def test_killed_process_no_longer_counts_as_a_consumer(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, ["a"], "", queue)
    holder = broker.process("hold", queue, 1)
    assert holder.stdout
    holder.stdout.readline()

    holder.kill()

    eventually(lambda: channel.queue_declare(queue, passive=True)[1:], (1, 0))


def test_purge_drops_and_counts_ready_messages(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, ["a", "b", "c"], "", queue)
    Inbox(channel, queue, prefetch=1).wait_for(1)
    eventually(lambda: ready(channel, queue), 2)

    assert channel.queue_purge(queue) == 2
    assert ready(channel, queue) == 0


def test_deleting_a_queue_counts_its_messages_and_can_be_repeated(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, ["a", "b"], "", queue)

    assert channel.queue_delete(queue) == 2
    assert channel.queue_delete(queue) == 0


def test_queue_in_use_survives_delete_if_unused(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    Inbox(broker.channel(), queue)

    with pytest.raises(PreconditionFailed):
        channel.queue_delete(queue, if_unused=True)
