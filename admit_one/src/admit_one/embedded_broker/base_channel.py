"""What every channel method needs: a lock, a transaction, and a check that it is open."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from amqp.exceptions import ChannelError, RecoverableConnectionError

if TYPE_CHECKING:
    from .connection import EmbeddedConnection


class BaseChannel:
    """A channel of a connection. A channel error resets it, as py-amqp revives its channels."""

    def __init__(self, connection: EmbeddedConnection, channel_id: int) -> None:
        self.connection: EmbeddedConnection | None = connection
        self.channel_id = channel_id
        self.is_open = True
        self.events: dict[str, set[Callable[..., Any]]] = defaultdict(set)
        self._forget()

    def _forget(self) -> None:
        """Reset to the state of a new channel; each subclass resets its own attributes."""

    def _release(self, db: sqlite3.Connection) -> None:
        """Release what this channel holds in the file."""

    def _require_open(self) -> EmbeddedConnection:
        if self.connection is None:
            raise RecoverableConnectionError("the channel to the embedded broker is closed")
        return self.connection

    @contextlib.contextmanager
    def _method(
        self, *, durable: bool = False
    ) -> Iterator[tuple[EmbeddedConnection, sqlite3.Connection]]:
        """Run one protocol method in a transaction, after committing what was published before."""
        connection = self._require_open()
        with connection.using():
            connection.flush()
            try:
                with connection.write(durable=durable):
                    yield connection, connection.db
            except ChannelError:
                self._reset()
                raise

    def _reset(self) -> None:
        connection = self._require_open()
        with connection.using():
            with connection.write():
                self._release(connection.db)
            self._forget()

    def fail(self, error: ChannelError) -> None:
        """Reset the channel, and raise `error` for something that was sent before."""
        self._reset()
        raise error

    def close(self) -> None:
        """Stop consuming, requeue what is unacknowledged, and close."""
        connection = self.connection
        if connection is not None and connection.connected:
            with connection.using():
                connection.flush()
                self._reset()
        self.collect()

    def collect(self) -> None:
        """Close without writing to the file."""
        if self.connection is not None:
            self.connection.channels.pop(self.channel_id, None)
        self.connection = None
        self.is_open = False
        self.events.clear()
        self._forget()
