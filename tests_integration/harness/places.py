"""Where a system under test lives: on real servers behind gates, or in the files of a folder."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kombu import Connection
from shared_contracts.topology import TOPOLOGY

from tools.servers import Servers, postgresql
from tools.system.system import Backends

from .gate import Gate


@dataclass(frozen=True)
class Place:
    """A system's own folder and what it is connected to, through gates if on servers.

    `wire_url` is the broker as a third party reaches it.
    """

    folder: Path
    backends: Backends
    wire_url: str
    broker: Gate | None = None
    databases: Gate | None = None


@contextmanager
def on_servers(servers: Servers, folder: Path) -> Iterator[Place]:
    """Two new databases and a part of the broker; nothing is left behind of either."""
    name = f"it_{secrets.token_hex(4)}"
    prefix = f"{name}."
    with ExitStack() as stack:
        urls = {
            service: stack.enter_context(
                postgresql.database(servers.database.url, f"{name}_{service}")
            )
            for service in TOPOLOGY
        }
        stack.callback(forget, servers.broker.url, prefix)
        broker = stack.enter_context(Gate(servers.broker.url))
        databases = stack.enter_context(Gate(servers.database.url))
        backends = Backends(
            payment_database_url=databases.way_to(urls["payment_service"]),
            student_database_url=databases.way_to(urls["student_service"]),
            broker_url=broker.way_to(servers.broker.url),
            prefix=prefix,
        )
        yield Place(folder, backends, servers.broker.url, broker, databases)


@contextmanager
def embedded(folder: Path) -> Iterator[Place]:
    """SQLite and the embedded broker, in `folder`."""
    backends = Backends.embedded(folder)
    yield Place(folder, backends, backends.broker_url)


def forget(broker_url: str, prefix: str) -> None:
    """Delete from a RabbitMQ all that a system with this prefix has made there."""
    with Connection(broker_url) as connection:
        channel: Any = connection.channel()
        for service in TOPOLOGY.values():
            tasks = f"{prefix}{service.name}.tasks"
            for queue in (service.inbox(prefix), service.dead(prefix), tasks):
                channel.queue_delete(queue)
            for exchange in (service.exchange(prefix), service.dead(prefix)):
                channel.exchange_delete(exchange)
            channel.exchange_delete(tasks)
