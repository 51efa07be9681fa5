"""Where a run takes place: private servers behind gates, or the files of one folder."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests_integration.harness import leaks, places
from tests_integration.harness.deployment import COMPARE_AT_ONCE, Deployment
from tests_integration.harness.leaks import Written
from tests_integration.harness.places import Place
from tools.servers import postgresql
from tools.servers.postgresql_cluster import Cluster
from tools.servers.rabbitmq_node import Node
from tools.system.database_files import path_of
from tools.system.gate import Gate

from . import patched
from .small_disk import SmallDisk, small_disk
from .system import ChaosSystem

HOLD_SECONDS = 2.0
"""Seconds to wait for the lock of a SQLite database: the services hold it for milliseconds."""


@dataclass(frozen=True)
class PrivateServers:
    """A RabbitMQ and a PostgreSQL that only this run uses, and the gates in front of them."""

    node: Node
    cluster: Cluster
    broker: Gate
    databases: Gate
    disk: SmallDisk | None = None
    """The broker's small disk, if it has one."""


@contextmanager
def private_servers(megabytes: int = 0) -> Iterator[PrivateServers]:
    """Start both, the broker on a disk of `megabytes` if given, and stop them at the end.

    Raises `NotHere` or `NoDisk` if they cannot be started, and `NotAsExpected` as `patched.check`.
    """
    patched.check()
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(megabytes)) if megabytes else None
        node = Node(stack, data=disk.folder / "rabbitmq" if disk else None)
        cluster = postgresql.private(stack)
        broker = stack.enter_context(Gate(node.url))
        databases = stack.enter_context(Gate(cluster.url))
        yield PrivateServers(node, cluster, broker, databases, disk)


@dataclass(frozen=True)
class Stage:
    """A system, its place and its servers (None on SQLite and the embedded broker)."""

    system: ChaosSystem
    place: Place
    servers: PrivateServers | None
    _held: list[sqlite3.Connection] = field(default_factory=list)

    def deploy(self) -> Deployment:
        """Start every process, and wait until all are ready."""
        deployment = Deployment.migrated(self.system, self.place)
        deployment.start()
        return deployment

    def save_databases(self, folder: Path) -> None:
        """Write each PostgreSQL table to a file; SQLite's files are in the folder already."""
        for name, text in self._tables():
            (folder / f"{name}.csv").write_bytes(text)

    def save_logs(self, folder: Path) -> None:
        if self.servers is not None:
            shutil.copy(self.servers.node.folder / "rabbitmq.log", folder / "rabbitmq.log")
            shutil.copy(self.servers.cluster.folder / "log", folder / "postgresql.log")

    def written(self, since: float) -> Iterator[Written]:
        """All that was written since a time: logs, tables, and the servers' own files."""
        yield from leaks.files(self.system.folder, "files", since)
        yield from self._tables()
        if self.servers is not None:
            yield from leaks.files(self.servers.node.folder, "rabbitmq", since)
            yield from leaks.files(self.servers.cluster.folder, "postgresql", since)

    def _tables(self) -> Iterator[Written]:
        for service, url in self.place.database_urls.items():
            if not url.startswith("sqlite"):
                yield from leaks.tables(url, service)

    def hold_databases(self) -> None:
        """Take the write lock of every SQLite database, or of none.

        Raises `sqlite3.OperationalError` if a lock is taken, such as by a process that another
        fault has frozen.
        """
        try:
            for url in self.place.database_urls.values():
                connection = sqlite3.connect(str(path_of(url)), timeout=HOLD_SECONDS)
                self._held.append(connection)
                connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            self.release_databases()
            raise

    def release_databases(self) -> None:
        while self._held:
            self._held.pop().close()


@contextmanager
def on_private_servers(servers: PrivateServers, folder: Path, bug: str = "") -> Iterator[Stage]:
    """A new system on these servers, with its own databases and its own prefix on the broker."""
    # A broker on a small disk loses messages; the run ends with a reconciliation of everything.
    settings = COMPARE_AT_ONCE if servers.disk is not None else {}
    with (
        places.behind(servers.broker, servers.databases, folder) as place,
        ChaosSystem(folder, place.backends, bug, settings) as system,
    ):
        try:
            yield Stage(system, place, servers)
        finally:
            # Processes close their connections when they stop, so the servers must answer.
            servers.broker.open()
            servers.databases.open()


@contextmanager
def embedded(folder: Path, bug: str = "") -> Iterator[Stage]:
    """A new system on SQLite and the embedded broker. Raises `NotAsExpected`."""
    patched.check()
    with places.embedded(folder) as place, ChaosSystem(folder, place.backends, bug) as system:
        yield Stage(system, place, None)
