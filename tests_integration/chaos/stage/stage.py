"""Where a run takes place: servers of its own behind gates, or the files of one folder."""

from __future__ import annotations

import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests_integration.harness.deployment import COMPARE_AT_ONCE, Deployment
from tests_integration.harness.gate import Gate
from tests_integration.harness.places import Place
from tools.servers import postgresql
from tools.servers.postgresql_cluster import Cluster
from tools.servers.rabbitmq_node import Node
from tools.system.system import SERVICES, Backends

from . import patched
from .small_disk import SmallDisk, small_disk
from .system import ChaosSystem

HOLD_SECONDS = 2.0
"""How long others may keep a SQLite database, each for milliseconds, before it cannot be held."""


@dataclass(frozen=True)
class Servers:
    """A RabbitMQ and a PostgreSQL that only chaos uses, and the gates on the way to them."""

    node: Node
    cluster: Cluster
    broker: Gate
    databases: Gate
    disk: SmallDisk | None = None
    """The broker's disk, if it has a small one of its own."""


@contextmanager
def private_servers(megabytes: int = 0) -> Iterator[Servers]:
    """Both, started for this and ended with it; the broker on a disk of `megabytes`, if given.

    Raises `NotHere` or `NoDisk` if they cannot be had, and `NotAsExpected` as `patched.check`.
    """
    patched.check()
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(megabytes)) if megabytes else None
        node = Node(stack, data=disk.folder / "rabbitmq" if disk else None)
        cluster = postgresql.private(stack)
        broker = stack.enter_context(Gate(node.url))
        databases = stack.enter_context(Gate(cluster.url))
        yield Servers(node, cluster, broker, databases, disk)


@dataclass(frozen=True)
class Stage:
    """A system, where it is, and what it stands on (`servers` is None on the embedded default).

    `database_urls` are as outsiders reach them, by no gate.
    """

    system: ChaosSystem
    place: Place
    servers: Servers | None
    database_urls: dict[str, str]
    _held: list[sqlite3.Connection] = field(default_factory=list)

    def deploy(self) -> Deployment:
        """Start every process of the system, and wait until all are ready."""
        deployment = Deployment.migrated(self.system, self.place)
        deployment.start()
        return deployment

    def save_databases(self, folder: Path) -> None:
        """Write each table of PostgreSQL to a file; SQLite's files lie in the folder anyway."""
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        for service, url in self.database_urls.items():
            if url.startswith("sqlite"):
                continue
            with psycopg.connect(url) as connection:
                for (table,) in connection.execute(tables).fetchall():
                    copied = f'COPY "{table}" TO STDOUT (FORMAT csv, HEADER)'.encode()
                    with (
                        (folder / f"{service}.{table}.csv").open("wb") as file,
                        connection.cursor().copy(copied) as rows,
                    ):
                        file.writelines(rows)

    def save_logs(self, folder: Path) -> None:
        """Copy the logs of the servers."""
        if self.servers is not None:
            shutil.copy(self.servers.node.folder / "rabbitmq.log", folder / "rabbitmq.log")
            shutil.copy(self.servers.cluster.folder / "log", folder / "postgresql.log")

    def hold_databases(self) -> None:
        """Take the write lock of each SQLite database, or of none.

        Raises `sqlite3.OperationalError` if somebody keeps one: such as a process that another
        fault has frozen, and that nobody thaws while this is waited for.
        """
        try:
            for url in self.database_urls.values():
                connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=HOLD_SECONDS)
                self._held.append(connection)
                connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            self.release_databases()
            raise

    def release_databases(self) -> None:
        """Give the locks back."""
        while self._held:
            self._held.pop().close()


@contextmanager
def on_servers(servers: Servers, folder: Path, bug: str = "") -> Iterator[Stage]:
    """A new system on these servers, with databases and a part of the broker of its own."""
    name = f"chaos_{secrets.token_hex(4)}"
    urls = {
        service: postgresql.create(servers.cluster.url, f"{name}_{service}") for service in SERVICES
    }
    backends = Backends(
        payment_database_url=servers.databases.way_to(urls["payment_service"]),
        student_database_url=servers.databases.way_to(urls["student_service"]),
        broker_url=servers.broker.way_to(servers.node.url),
        prefix=f"{name}.",
    )
    # Where the broker loses what it had confirmed, a person reconciles both sides at once.
    settings = COMPARE_AT_ONCE if servers.disk is not None else {}
    with ChaosSystem(folder, backends, bug, settings) as system:
        try:
            place = Place(folder, backends, servers.node.url, servers.broker, servers.databases)
            yield Stage(system, place, servers, urls)
        finally:
            # Nobody says goodbye to a server that does not listen.
            servers.broker.open()
            servers.databases.open()


@contextmanager
def embedded(folder: Path, bug: str = "") -> Iterator[Stage]:
    """A new system on SQLite and the embedded broker. Raises `NotAsExpected`."""
    patched.check()
    backends = Backends.embedded(folder)
    urls = {service: backends.database_url(service) for service in SERVICES}
    with ChaosSystem(folder, backends, bug) as system:
        yield Stage(system, Place(folder, backends, backends.broker_url), None, urls)
