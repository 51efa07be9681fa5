"""What a system under test runs on: real servers behind gates, or files in a folder."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.servers import Servers, postgresql
from tools.system.broker import forget
from tools.system.gate import Gate
from tools.system.system import SERVICES, Backends


@dataclass(frozen=True)
class Place:
    """A system's folder and backends; on servers, it reaches them through gates.

    `wire_url` and `database_urls` lead to the broker and the databases past the gates.
    """

    folder: Path
    backends: Backends
    wire_url: str
    database_urls: Mapping[str, str]
    broker: Gate | None = None
    databases: Gate | None = None


@contextmanager
def on_servers(servers: Servers, folder: Path) -> Iterator[Place]:
    """Two new databases and a prefix on the broker; all deleted afterwards."""
    with (
        Gate(servers.broker.url) as broker,
        Gate(servers.database.url) as databases,
        behind(broker, databases, folder) as place,
    ):
        yield place


@contextmanager
def behind(broker: Gate, databases: Gate, folder: Path) -> Iterator[Place]:
    """The same behind existing gates."""
    name = f"it_{secrets.token_hex(4)}"
    with ExitStack() as stack:
        urls = {
            service: stack.enter_context(
                postgresql.database(databases.server_url, f"{name}_{service}")
            )
            for service in SERVICES
        }
        stack.callback(forget, broker.server_url, f"{name}.")
        backends = Backends(
            payment_database_url=databases.way_to(urls["payment_service"]),
            student_database_url=databases.way_to(urls["student_service"]),
            broker_url=broker.way_to(broker.server_url),
            prefix=f"{name}.",
        )
        yield Place(folder, backends, broker.server_url, urls, broker, databases)


@contextmanager
def on_cluster(broker_urls: str, database_server: str, folder: Path) -> Iterator[Place]:
    """Two new databases, and a cluster of ours, which is reached without a gate."""
    name = f"it_{secrets.token_hex(4)}"
    with ExitStack() as stack:
        urls = {
            service: stack.enter_context(postgresql.database(database_server, f"{name}_{service}"))
            for service in SERVICES
        }
        backends = Backends(
            payment_database_url=urls["payment_service"],
            student_database_url=urls["student_service"],
            broker_url=broker_urls,
        )
        yield Place(folder, backends, broker_urls, urls)


@contextmanager
def embedded(folder: Path) -> Iterator[Place]:
    """SQLite and the embedded broker, in `folder`."""
    backends = Backends.embedded(folder)
    urls = {service: backends.database_url(service) for service in SERVICES}
    yield Place(folder, backends, backends.broker_url, urls)
