"""To which queues an exchange routes a message."""

from __future__ import annotations

import pytest
from amqp.exceptions import (
    AccessRefused,
)

from tests.brokers import (
    Broker,
    Inbox,
    publish,
)


def test_direct_exchange_sends_to_the_queues_of_the_exact_key(broker: Broker) -> None:
    channel = broker.channel()
    exchange = broker.exchange(channel, "direct")
    one, two = broker.queue(channel, "one"), broker.queue(channel, "two")
    channel.queue_bind(one, exchange, "a")
    channel.queue_bind(two, exchange, "a")
    channel.queue_bind(two, exchange, "b")

    publish(broker, ["to both"], exchange, "a")
    publish(broker, ["to two"], exchange, "b")
    publish(broker, ["to none"], exchange, "a.b")

    assert Inbox(channel, one).bodies(1) == ["to both"]
    assert Inbox(channel, two).bodies(2) == ["to both", "to two"]


def test_fanout_exchange_sends_to_every_queue_whatever_the_key(broker: Broker) -> None:
    channel = broker.channel()
    exchange = broker.exchange(channel, "fanout")
    queues = [broker.queue(channel, name) for name in ("one", "two")]
    for queue in queues:
        channel.queue_bind(queue, exchange, "ignored")

    publish(broker, ["news"], exchange, "anything")

    assert [Inbox(channel, queue).bodies(1) for queue in queues] == [["news"], ["news"]]


@pytest.mark.parametrize(
    ("binding", "expected"),
    [
        ("worker.#", ["worker", "worker.x", "worker.x.y"]),
        ("worker.*", ["worker.x"]),
        ("#", ["worker", "worker.x", "worker.x.y", "task.x", ""]),
        ("*.x", ["worker.x", "task.x"]),
        ("#.x", ["worker.x", "task.x"]),
    ],
)
def test_topic_star_is_one_word_and_hash_any_number(
    broker: Broker, binding: str, expected: list[str]
) -> None:
    channel = broker.channel()
    exchange = broker.exchange(channel, "topic")
    queue = broker.queue(channel)
    channel.queue_bind(queue, exchange, binding)

    for key in ("worker", "worker.x", "worker.x.y", "task.x", ""):
        publish(broker, [key or " "], exchange, key)

    assert Inbox(channel, queue).bodies(len(expected)) == [key or " " for key in expected]


def test_default_exchange_sends_to_the_queue_of_that_name(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)

    publish(broker, ["hello"], "", queue)

    assert Inbox(channel, queue).bodies(1) == ["hello"]


def test_queue_bound_twice_gets_a_message_once(broker: Broker) -> None:
    channel = broker.channel()
    exchange = broker.exchange(channel, "topic")
    queue = broker.queue(channel)
    channel.queue_bind(queue, exchange, "a.#")
    channel.queue_bind(queue, exchange, "#.b")

    publish(broker, ["first", "second"], exchange, "a.b")

    assert Inbox(channel, queue).bodies(2) == ["first", "second"]


def test_exchange_stops_routing_a_key_after_unbind(broker: Broker) -> None:
    channel = broker.channel()
    exchange = broker.exchange(channel, "direct")
    queue = broker.queue(channel)
    channel.queue_bind(queue, exchange, "old")
    channel.queue_bind(queue, exchange, "new")
    channel.queue_unbind(queue, exchange, "old")

    publish(broker, ["by the old key"], exchange, "old")
    publish(broker, ["by the new key"], exchange, "new")

    assert Inbox(channel, queue).bodies(1) == ["by the new key"]


def test_publisher_reaches_a_queue_that_it_never_declared(broker: Broker) -> None:
    channel = broker.channel()
    exchange = broker.exchange(channel, "direct")
    queue = broker.queue(channel)
    channel.queue_bind(queue, exchange, "key")

    producer = broker.process("produce", exchange, "key", 1, 3)

    assert producer.communicate()[0].split() == ["confirmed"]
    assert Inbox(channel, queue).bodies(3) == [b"1", b"2", b"3"]


def test_default_exchange_refuses_bindings(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)

    with pytest.raises(AccessRefused, match="default exchange"):
        channel.queue_bind(queue, "", "key")
