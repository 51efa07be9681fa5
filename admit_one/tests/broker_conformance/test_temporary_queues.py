"""Queues and exchanges that delete themselves."""

from __future__ import annotations

import time

import pytest
from amqp.exceptions import (
    NotFound,
    ResourceLocked,
)

from tests.brokers import (
    Broker,
    Inbox,
)


def test_exclusive_queue_belongs_to_its_connection_and_ends_with_it(broker: Broker) -> None:
    connection, other = broker.connect(), broker.channel()
    name = connection.channel().queue_declare("", exclusive=True)[0]

    with pytest.raises(ResourceLocked):
        other.queue_declare(name, passive=True)
    connection.release()
    with pytest.raises(NotFound):
        other.queue_declare(name, passive=True)


def test_auto_delete_queue_ends_with_its_last_consumer(broker: Broker) -> None:
    channel = broker.channel()
    name = channel.queue_declare("", auto_delete=True)[0]
    one, two = Inbox(channel, name), Inbox(channel, name)

    channel.basic_cancel(one.tag)
    channel.queue_declare(name, passive=True)
    channel.basic_cancel(two.tag)

    with pytest.raises(NotFound):
        channel.queue_declare(name, passive=True)


def test_auto_delete_exchange_ends_with_its_last_binding(broker: Broker) -> None:
    channel = broker.channel()
    exchange = broker.adopt_exchange(broker.prefix + "passing")
    channel.exchange_declare(exchange, "direct", auto_delete=True)
    queue = broker.queue(channel)
    for key in ("one", "two"):
        channel.queue_bind(queue, exchange, key)

    channel.queue_unbind(queue, exchange, "one")
    channel.exchange_declare(exchange, "direct", passive=True)
    channel.queue_delete(queue)

    with pytest.raises(NotFound):
        channel.exchange_declare(exchange, "direct", passive=True)


def test_unused_queue_expires(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel, x_expires=100)

    with pytest.raises(NotFound):  # noqa: PT012  (asking by a passive declare would keep it alive)
        while True:
            time.sleep(0.3)  # passing time is what is tested: three times `x-expires`
            channel.queue_declare(queue, passive=True)
