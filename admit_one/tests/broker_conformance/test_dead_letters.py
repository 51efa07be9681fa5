"""When a message becomes a dead letter, and what its headers say then."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import amqp

from tests.brokers import (
    QUORUM,
    Broker,
    Inbox,
    eventually,
    publish,
    ready,
)


def test_rejected_message_becomes_a_dead_letter_that_names_the_reason(broker: Broker) -> None:
    channel = broker.channel()
    exchange = broker.exchange(channel, "direct", "dead-letters")
    dead = broker.queue(channel, "dead")
    channel.queue_bind(dead, exchange, "dead")
    queue = broker.queue(
        channel, x_dead_letter_exchange=exchange, x_dead_letter_routing_key="dead", **QUORUM
    )
    publish(broker, [b"\xffbad"], "", queue)

    (message,) = Inbox(channel, queue).wait_for(1)
    channel.basic_reject(message.delivery_tag, requeue=False)
    (letter,) = Inbox(channel, dead).wait_for(1)

    headers = letter.headers
    death = headers["x-death"][0]
    assert letter.body == b"\xffbad"
    assert letter.delivery_info["routing_key"] == "dead"
    assert headers["x-first-death-reason"] == "rejected"
    assert headers["x-first-death-queue"] == queue
    assert headers["x-first-death-exchange"] == ""
    assert (death["reason"], death["queue"], death["count"]) == ("rejected", queue, 1)
    assert death["routing-keys"] == [queue]
    assert isinstance(death["time"], datetime)


def test_dead_letter_keeps_its_routing_key_by_default(broker: Broker) -> None:
    channel = broker.channel()
    exchange = broker.exchange(channel, "fanout", "dead-letters")
    dead = broker.queue(channel, "dead")
    channel.queue_bind(dead, exchange, "")
    queue = broker.queue(channel, x_dead_letter_exchange=exchange)
    publish(broker, ["bad"], "", queue)

    (message,) = Inbox(channel, queue).wait_for(1)
    channel.basic_reject(message.delivery_tag, requeue=False)

    (letter,) = Inbox(channel, dead).wait_for(1)
    assert letter.delivery_info["routing_key"] == queue


def test_dead_letter_counts_its_deaths(broker: Broker) -> None:
    channel = broker.channel()
    exchange = broker.exchange(channel, "fanout", "dead-letters")
    queue = broker.queue(channel, x_dead_letter_exchange=exchange)
    channel.queue_bind(queue, exchange, "")
    publish(broker, ["bad"], "", queue)
    inbox = Inbox(channel, queue)

    for number in (1, 2):
        message = inbox.wait_for(number)[-1]
        channel.basic_reject(message.delivery_tag, requeue=False)

    deaths = inbox.wait_for(3)[-1].headers["x-death"]
    assert [(death["reason"], death["count"]) for death in deaths] == [("rejected", 2)]


def test_rejected_message_is_dropped_without_a_dead_letter_exchange(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, ["bad", "good"], "", queue)
    inbox = Inbox(channel, queue, prefetch=1)

    channel.basic_reject(inbox.wait_for(1)[0].delivery_tag, requeue=False)

    assert inbox.bodies(2) == ["bad", "good"]


def test_delivery_limit_allows_that_many_redeliveries(broker: Broker) -> None:
    channel = broker.channel()
    exchange = broker.exchange(channel, "fanout", "dead-letters")
    dead = broker.queue(channel, "dead")
    channel.queue_bind(dead, exchange, "")
    queue = broker.queue(channel, x_delivery_limit=3, x_dead_letter_exchange=exchange, **QUORUM)
    publish(broker, ["poison"], "", queue)
    counts: list[int | None] = []

    def send_back(message: amqp.Message) -> None:
        counts.append((message.headers or {}).get("x-delivery-count"))
        channel.basic_reject(message.delivery_tag, requeue=True)

    channel.basic_consume(queue, callback=send_back)
    (letter,) = Inbox(channel, dead).wait_for(1)

    assert counts == [None, 1, 2, 3]
    assert letter.headers["x-first-death-reason"] == "delivery_limit"


def test_expired_message_becomes_a_dead_letter(broker: Broker) -> None:
    channel = broker.channel()
    exchange = broker.exchange(channel, "fanout", "dead-letters")
    dead = broker.queue(channel, "dead")
    channel.queue_bind(dead, exchange, "")
    queue = broker.queue(channel, x_message_ttl=100, x_dead_letter_exchange=exchange)
    own = broker.queue(channel, "own", x_dead_letter_exchange=exchange)

    publish(broker, ["by its queue"], "", queue)
    channel.basic_publish(amqp.Message("by itself", expiration="300"), "", own)
    letters = Inbox(channel, dead).wait_for(2)

    assert [letter.body for letter in letters] == ["by its queue", "by itself"]
    assert {letter.headers["x-first-death-reason"] for letter in letters} == {"expired"}
    assert "expiration" not in letters[1].properties


def a_cycle(broker: Broker, channel: Any, **arguments: int) -> tuple[str, str]:
    """Two queues that dead-letter into each other."""
    first, second = broker.prefix + "first", broker.prefix + "second"
    for name, other in (("first", second), ("second", first)):
        broker.queue(
            channel, name, x_dead_letter_exchange="", x_dead_letter_routing_key=other, **arguments
        )
    return first, second


def test_a_dead_letter_that_comes_back_is_dropped_unless_it_was_rejected(broker: Broker) -> None:
    channel = broker.channel()
    first, second = a_cycle(broker, channel, x_message_ttl=50)
    publish(broker, ["round and round"], "", first)

    eventually(lambda: (ready(channel, first), ready(channel, second)), (0, 0))
    publish(broker, ["another"], "", first)
    eventually(lambda: (ready(channel, first), ready(channel, second)), (0, 0))


def test_full_queues_that_overflow_into_each_other_come_to_rest(broker: Broker) -> None:
    channel = broker.channel()
    first, second = a_cycle(broker, channel, x_max_length=1)

    publish(broker, [str(number) for number in range(20)], "", first)

    eventually(lambda: (ready(channel, first), ready(channel, second)), (1, 1))
