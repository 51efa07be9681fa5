"""RabbitMQ seen by somebody else: raw pika, so that nothing here shares our code's mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pika
from admit_one.messaging.broker import connection as broker
from admit_one.messaging.broker import topology
from admit_one.messaging.broker.topology import ServiceTopology
from django.conf import settings
from pika.adapters.blocking_connection import BlockingChannel

from tests.contract.topology import STUDENT, TOPOLOGY


def parameters() -> pika.URLParameters:
    parameters = pika.URLParameters(settings.BROKER_URL)
    parameters.virtual_host = parameters.virtual_host or "/"  # it reads `//` as no name
    return parameters


@contextmanager
def channel() -> Iterator[BlockingChannel]:
    connection = pika.BlockingConnection(parameters())
    try:
        yield connection.channel()
    finally:
        if connection.is_open:
            connection.close()


def declare(prefix: str) -> None:
    connection = broker.connect("test")
    topology.declare(connection, ServiceTopology(STUDENT, prefix))
    broker.close(connection)


def delete(prefix: str) -> None:
    with channel() as ch:
        for service in TOPOLOGY.values():
            for name in (f"{service.name}.inbox", f"{service.name}.dead", "third_party"):
                ch.queue_delete(prefix + name)
            for name in (f"{service.name}.events", f"{service.name}.dead"):
                ch.exchange_delete(prefix + name)


def depth(queue: str) -> int:
    """Messages that are ready in `queue`."""
    with channel() as ch:
        return int(ch.queue_declare(queue, passive=True).method.message_count)


def bind(prefix: str, exchange: str, key: str) -> str:
    """A durable queue of a third party's on `exchange`; returns its name."""
    with channel() as ch:
        ch.queue_declare(f"{prefix}third_party", durable=True)
        ch.queue_bind(f"{prefix}third_party", f"{prefix}{exchange}", key)
    return f"{prefix}third_party"


def take_all(queue: str) -> list[tuple[pika.BasicProperties, bytes]]:
    """All that is ready in `queue`, taken out of it."""
    taken: list[tuple[pika.BasicProperties, bytes]] = []
    with channel() as ch:
        while True:
            method, properties, body = ch.basic_get(queue, auto_ack=True)
            if method is None:
                return taken
            taken.append((properties, body))


def send(prefix: str, *bodies: bytes, **properties: Any) -> None:
    """As payment_service would: on its exchange, with the key of user_subscribed."""
    with channel() as ch:
        ch.confirm_delivery()
        for body in bodies:
            ch.basic_publish(
                f"{prefix}payment_service.events",
                "user_subscribed",
                body,
                pika.BasicProperties(delivery_mode=2, **properties),
                mandatory=True,
            )
