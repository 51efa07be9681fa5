"""What kombu asks of a transport, answered by our connections and channels."""

# ruff: noqa: ARG002  (the signatures are kombu's)
from __future__ import annotations

import sqlite3
from typing import Any
from urllib.parse import unquote, urlsplit

import amqp
from amqp.exceptions import InvalidPath
from kombu.transport import base

from .channel import Channel
from .connection import Connection


class Transport(base.Transport):
    """`sqlite:////absolute/path/of/the/broker.sqlite3`."""

    can_parse_url = True
    default_port = None
    driver_type = "sqlite"
    driver_name = "sqlite"
    connection_errors = amqp.Connection.connection_errors
    channel_errors = amqp.Connection.channel_errors
    recoverable_connection_errors = amqp.Connection.recoverable_connection_errors
    recoverable_channel_errors = amqp.Connection.recoverable_channel_errors
    implements = base.Transport.implements.extend(
        asynchronous=True, heartbeats=False, exchange_type=frozenset(["direct", "fanout", "topic"])
    )

    def driver_version(self) -> str:
        """SQLite's version."""
        return sqlite3.sqlite_version

    def establish_connection(self) -> Connection:
        """Open the file. InvalidPath: the URL or the file is not a broker's."""
        url: Any = self.client and self.client.hostname
        return Connection(path_of(url), client=self.client)

    def create_channel(self, connection: Connection) -> Channel:
        """A channel of the connection."""
        return connection.channel()

    def drain_events(
        self, connection: Connection, timeout: float | None = None, **kwargs: Any
    ) -> None:
        """Handle one event, or raise socket.timeout."""
        connection.drain_events(timeout=timeout)

    def verify_connection(self, connection: Connection) -> bool:
        """Whether the connection can be used."""
        return connection.connected

    def close_connection(self, connection: Connection) -> None:
        """Close it, giving back what it held."""
        connection.client = None
        connection.close()

    def _collect(self, connection: Connection | None) -> None:
        if connection is not None:
            connection.collect()

    def register_with_event_loop(self, connection: Connection, loop: Any) -> None:
        """Celery's loop looks when the bell rings, and by its own clock for those who died."""
        loop.add_reader(connection.fileno(), self.on_readable, connection, loop)
        loop.call_repeatedly(connection.interval, self.on_readable, connection, loop)

    def qos_semantics_matches_spec(self, connection: Connection) -> bool:
        """No: a prefetch count is a consumer's, as with RabbitMQ."""
        return False

    def as_uri(self, uri: str, include_password: bool = False, mask: str = "**") -> str:
        """The URL holds no secret."""
        return uri


def path_of(url: str) -> str:
    """The file of a broker URL. InvalidPath: it is not `sqlite:////absolute/path`."""
    parts = urlsplit(url)
    path = unquote(parts.path)[1:]
    if parts.scheme != "sqlite" or parts.netloc or not path.startswith("/"):
        raise InvalidPath(f"expected sqlite:////absolute/path, got {url!r}")
    return path
