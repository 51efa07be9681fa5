"""Declaring, counting, purging and deleting."""

from __future__ import annotations

from typing import Any

import pytest
from amqp.exceptions import (
    AccessRefused,
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


@pytest.mark.parametrize(
    "arguments",
    [
        {"x_message_ttl": "60000"},
        {"x_message_ttl": -1},
        {"x_message_ttl": True},
        {"x_expires": 0},
        {"x_expires": "60000"},
        {"x_max_length": -1},
        {"x_max_length": "5"},
        {"x_overflow": "no-such"},
        {"x_queue_type": "no-such"},
        {"x_queue_type": 5},
        {"x_dead_letter_exchange": 5},
        {"x_dead_letter_routing_key": "without an exchange"},
        {"x_dead_letter_exchange": "", "x_dead_letter_routing_key": 5},
        {"x_delivery_limit": 3},
    ],
    ids=str,
)
def test_a_wrong_value_of_an_argument_fails_a_precondition(
    broker: Broker, arguments: dict[str, Any]
) -> None:
    channel = broker.channel()

    with pytest.raises(PreconditionFailed):
        broker.queue(channel, **arguments)
    with pytest.raises(NotFound):
        ready(channel, f"{broker.prefix}queue")


@pytest.mark.parametrize(
    "properties", [{"durable": False}, {"auto_delete": True}, {"exclusive": True}], ids=str
)
def test_a_quorum_queue_is_durable_and_shared(broker: Broker, properties: dict[str, bool]) -> None:
    name = broker.adopt(f"{broker.prefix}queue")
    how = {"durable": True, "auto_delete": False, **properties}

    with pytest.raises(PreconditionFailed):
        broker.channel().queue_declare(name, arguments=QUORUM, **how)


def test_names_of_the_broker_itself_are_reserved(broker: Broker) -> None:
    channel = broker.channel()

    channel.exchange_declare("amq.topic", "topic", durable=True, auto_delete=False)
    with pytest.raises(AccessRefused):
        channel.exchange_declare("amq.mine", "topic", durable=True, auto_delete=False)
    with pytest.raises(AccessRefused):
        channel.queue_declare("amq.mine", durable=True, auto_delete=False)
    with pytest.raises(AccessRefused):
        channel.exchange_delete("amq.topic")


def test_a_built_in_exchange_carries_messages(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    channel.queue_bind(queue, "amq.topic", f"{broker.prefix}#")

    publish(broker, ["a"], "amq.topic", f"{broker.prefix}key")

    assert Inbox(channel, queue).bodies(1) == ["a"]


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
