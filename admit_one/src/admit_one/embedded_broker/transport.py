"""The Kombu transport, built on our connections and channels."""

# ruff: noqa: ARG002  (the signatures are kombu's)
from __future__ import annotations

import sqlite3
from typing import Any
from urllib.parse import unquote, urlsplit

import amqp
from amqp.exceptions import InvalidPath
from kombu.transport import base

from .channel import Channel
from .connection import EmbeddedConnection


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
        return sqlite3.sqlite_version

    def establish_connection(self) -> EmbeddedConnection:
        """Open the file. Raises `InvalidPath` if the URL or the file is not a broker's."""
        url: Any = self.client and self.client.hostname
        options = (self.client and self.client.transport_options) or {}
        confirms = bool(options.get("confirm_publish"))
        return EmbeddedConnection(path_of(url), client=self.client, confirm_publish=confirms)

    def create_channel(self, connection: EmbeddedConnection) -> Channel:
        return connection.channel()

    def drain_events(
        self, connection: EmbeddedConnection, timeout: float | None = None, **kwargs: Any
    ) -> None:
        """Handle one event. Raises `TimeoutError` if there is none."""
        connection.drain_events(timeout=timeout)

    def verify_connection(self, connection: EmbeddedConnection) -> bool:
        return connection.connected

    def close_connection(self, connection: EmbeddedConnection) -> None:
        """Close it, and requeue what it held."""
        connection.client = None
        connection.close()

    def _collect(self, connection: EmbeddedConnection | None) -> None:
        if connection is not None:
            connection.collect()

    def register_with_event_loop(self, connection: EmbeddedConnection, loop: Any) -> None:
        """Let Celery's loop drain when the bell rings, and regularly to notice dead holders."""
        loop.add_reader(connection.fileno(), self.on_readable, connection, loop)
        loop.call_repeatedly(connection.interval, self.on_readable, connection, loop)

    def qos_semantics_matches_spec(self, connection: EmbeddedConnection) -> bool:
        """No: as with RabbitMQ, a prefetch count applies to each consumer."""
        return False

    def as_uri(self, uri: str, include_password: bool = False, mask: str = "**") -> str:
        """The URL as it is: it holds no secret."""
        return uri


def path_of(url: str) -> str:
    """The file of a broker URL. Raises `InvalidPath` unless it is `sqlite:////absolute/path`."""
    parts = urlsplit(url)
    path = unquote(parts.path)[1:]
    others = parts.netloc or parts.query or parts.fragment
    if parts.scheme != "sqlite" or others or not path.startswith("/"):
        raise InvalidPath(f"expected sqlite:////absolute/path, got {url!r}")
    return path
