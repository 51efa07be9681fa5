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


def test_missing_queue_or_exchange_is_not_found_and_the_channel_goes_on(broker: Broker) -> None:
    channel = broker.channel()

    with pytest.raises(NotFound, match="no queue"):
        channel.queue_declare(broker.prefix + "none", passive=True)
    with pytest.raises(NotFound, match="no exchange"):
        channel.exchange_declare(broker.prefix + "none", "direct", passive=True)
    with pytest.raises(NotFound, match="no queue"):
        channel.basic_consume(broker.prefix + "none")
    assert ready(channel, broker.queue(channel)) == 0


def test_declaring_equally_again_changes_nothing(broker: Broker) -> None:
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
def test_declaring_a_queue_otherwise_is_a_precondition_failed(
    broker: Broker, first: dict[str, Any], second: dict[str, Any]
) -> None:
    channel = broker.channel()
    broker.queue(channel, **first)

    with pytest.raises(PreconditionFailed, match="inequivalent arg"):
        broker.queue(channel, **second)


def test_declaring_an_exchange_otherwise_is_a_precondition_failed(broker: Broker) -> None:
    channel = broker.channel()
    broker.exchange(channel, "direct")

    with pytest.raises(PreconditionFailed, match="inequivalent arg 'type'"):
        broker.exchange(channel, "fanout")


def test_counts_are_of_ready_messages_and_of_consumers(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, ["a", "b", "c"], "", queue)
    Inbox(channel, queue, prefetch=1).wait_for(1)

    eventually(lambda: tuple(channel.queue_declare(queue, passive=True)), (queue, 2, 1))


def test_dead_process_is_counted_as_a_consumer_no_more(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, ["a"], "", queue)
    holder = broker.process("hold", queue, 1)
    assert holder.stdout
    holder.stdout.readline()

    holder.kill()

    eventually(lambda: channel.queue_declare(queue, passive=True)[1:], (1, 0))


def test_purge_drops_what_is_ready_and_says_how_many(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, ["a", "b", "c"], "", queue)
    Inbox(channel, queue, prefetch=1).wait_for(1)
    eventually(lambda: ready(channel, queue), 2)

    assert channel.queue_purge(queue) == 2
    assert ready(channel, queue) == 0


def test_deleting_a_queue_says_how_many_went_and_twice_is_no_error(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, ["a", "b"], "", queue)

    assert channel.queue_delete(queue) == 2
    assert channel.queue_delete(queue) == 0


def test_queue_in_use_is_not_deleted_where_that_was_asked(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    Inbox(broker.channel(), queue)

    with pytest.raises(PreconditionFailed):
        channel.queue_delete(queue, if_unused=True)
