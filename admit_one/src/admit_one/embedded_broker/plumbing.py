"""What every method of a channel needs: its turn, its transaction, and an end."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from amqp.exceptions import ChannelError, RecoverableConnectionError

if TYPE_CHECKING:
    from .connection import Connection


class Plumbing:
    """A channel's place on its connection. Errors of a channel reset it, as py-amqp revives it."""

    def __init__(self, connection: Connection, channel_id: int) -> None:
        self.connection: Connection | None = connection
        self.channel_id = channel_id
        self.is_open = True
        self.events: dict[str, set[Callable[..., Any]]] = defaultdict(set)
        self._forget()

    def _forget(self) -> None:
        """Start as a new channel does; each chapter of the protocol forgets its own."""

    def _give_up(self, db: sqlite3.Connection) -> None:
        """Tell the file that this channel starts again."""

    def _require_open(self) -> Connection:
        if self.connection is None:
            raise RecoverableConnectionError("the channel to the embedded broker is closed")
        return self.connection

    @contextlib.contextmanager
    def _method(self, *, durable: bool = False) -> Iterator[tuple[Connection, sqlite3.Connection]]:
        """One method of the protocol: in its turn after what was published, in one transaction."""
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
                self._give_up(connection.db)
            self._forget()

    def fail(self, error: ChannelError) -> None:
        """The broker found fault with something sent before."""
        self._reset()
        raise error

    def close(self) -> None:
        """Stop consuming, give back what is unacknowledged; the channel is of no more use."""
        connection = self.connection
        if connection is not None and connection.connected:
            with connection.using():
                connection.flush()
                self._reset()
        self.collect()

    def collect(self) -> None:
        """Forget everything without a word to the broker."""
        if self.connection is not None:
            self.connection.channels.pop(self.channel_id, None)
        self.connection = None
        self.is_open = False
        self.events.clear()
        self._forget()
