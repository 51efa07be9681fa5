"""Leaving nothing behind on the broker."""

from __future__ import annotations

from collections.abc import Iterable

from kombu import Connection, Exchange, Queue


def delete(url: str, *, queues: Iterable[str], exchanges: Iterable[str]) -> None:
    """Delete queues and exchanges; those that do not exist are no error (AMQP 0-9-1)."""
    with Connection(url, connect_timeout=5) as connection, connection.channel() as channel:
        for queue in queues:
            Queue(queue)(channel).delete()
        for exchange in exchanges:
            Exchange(exchange)(channel).delete()
