"""Deletes exchanges and queues from a RabbitMQ."""

from __future__ import annotations

from collections.abc import Iterable

from kombu import Connection, Exchange, Queue
from shared_contracts.topology import TOPOLOGY


def forget(url: str, prefix: str) -> None:
    """Delete everything that a system with this prefix has declared."""
    tasks = [f"{prefix}{name}.wake_ups" for name in TOPOLOGY]
    inboxes = [service.inbox(prefix) for service in TOPOLOGY.values()]
    dead = [service.dead(prefix) for service in TOPOLOGY.values()]
    events = [service.exchange(prefix) for service in TOPOLOGY.values()]
    delete(url, queues=inboxes + dead + tasks, exchanges=events + dead + tasks)


def delete(url: str, *, queues: Iterable[str], exchanges: Iterable[str]) -> None:
    """Delete queues and exchanges, if they exist."""
    with Connection(url, connect_timeout=5) as connection, connection.channel() as channel:
        for queue in queues:
            Queue(queue)(channel).delete()
        for exchange in exchanges:
            Exchange(exchange)(channel).delete()
