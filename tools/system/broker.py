"""Leaving nothing behind on a RabbitMQ."""

from __future__ import annotations

from collections.abc import Iterable

from kombu import Connection, Exchange, Queue
from shared_contracts.topology import TOPOLOGY


def forget(url: str, prefix: str) -> None:
    """Delete all that a system with this prefix has declared."""
    tasks = [f"{prefix}{name}.tasks" for name in TOPOLOGY]
    inboxes = [service.inbox(prefix) for service in TOPOLOGY.values()]
    dead = [service.dead(prefix) for service in TOPOLOGY.values()]
    events = [service.exchange(prefix) for service in TOPOLOGY.values()]
    delete(url, queues=inboxes + dead + tasks, exchanges=events + dead + tasks)


def delete(url: str, *, queues: Iterable[str], exchanges: Iterable[str]) -> None:
    """Delete queues and exchanges; those that do not exist are no error (AMQP 0-9-1)."""
    with Connection(url, connect_timeout=5) as connection, connection.channel() as channel:
        for queue in queues:
            Queue(queue)(channel).delete()
        for exchange in exchanges:
            Exchange(exchange)(channel).delete()
