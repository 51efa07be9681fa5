"""The connections of a worker: how many there may be now, and which are free.

There is one at first. Each answer doubles the number, and a while without any adds one: so a server
that is going down costs one mail an attempt, and a slow answer holds no other mail.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from django.conf import settings

from .attempt import Attempt
from .connection import Connected, Connection, Ended

SLOW = 0.5
"""Seconds without an answer after which one more connection may be made."""

UNTIL_AN_ANSWER = 2
"""Connections to a server that has not answered any mail yet."""

MORE_AFTER = 10.0
"""Seconds after which a server that took no more connections is asked for one more."""

GOODBYE = 2.0
"""Seconds to wait for connections to end: a goodbye takes one at most."""


class Connections:
    """Those that connect, are idle, have a mail in hand, or have been given up."""

    def __init__(self, report: Callable[[Connected | Ended], object]) -> None:
        self._report = report
        self.opening: dict[Connection, float] = {}
        """Since when."""
        self.idle: list[Connection] = []
        """The last one is the next to be used."""
        self._all: set[Connection] = set()
        self._given_up: set[Connection] = set()
        self._limit = 1
        self._has_answered = False
        self._progress_at = 0.0
        self._most: int | None = None
        """How many the server takes, if that was noticed."""
        self._more_at = 0.0

    @property
    def open(self) -> int:
        """To how many the server talks."""
        return sum(connection.is_open for connection in self._all)

    def allowed(self, in_hand: int) -> int:
        """How many there may be now, of which so many have a mail in hand."""
        now = time.monotonic()
        if in_hand and now - self._progress_at > SLOW:
            self._progress_at = now
            self._grow(1)
        if self._most is not None and now > self._more_at:
            self._most, self._more_at = self._most + 1, now + MORE_AFTER
        self._given_up = {connection for connection in self._given_up if not connection.has_ended}
        limits = [self._limit, settings.EMAIL_CONNECTIONS - len(self._given_up)]
        return max(0, min([*limits, self._most] if self._most is not None else limits))

    def open_one(self) -> None:
        connection = Connection(self._report)
        self._all.add(connection)
        self.opening[connection] = self._progress_at = time.monotonic()

    def let_in(self, connection: Connection) -> None:
        del self.opening[connection]
        self.idle.append(connection)

    def give_back(self, connection: Connection) -> None:
        """It has no mail in hand any more. If the server has hung up, it ends."""
        if connection.is_open:
            self.idle.append(connection)
        else:
            self.drop(connection)

    def note(self, attempt: Attempt) -> None:
        """Whether the server answers well decides how many there may be."""
        self._progress_at = time.monotonic()
        if attempt.connection_broke:
            self._limit, self._has_answered = 1, False
        elif attempt.domain:
            self._has_answered = True
            self._grow(self._limit)

    def be_fewer(self) -> None:
        """The server takes no more than there are: go on with those, for a while."""
        self._most = max(1, self.open)
        self._more_at = time.monotonic() + MORE_AFTER

    def drop(self, connection: Connection) -> None:
        connection.end()
        self._all.discard(connection)
        self.opening.pop(connection, None)
        if connection in self.idle:
            self.idle.remove(connection)

    def give_up(self, connection: Connection) -> None:
        """Wait for it no longer; until its thread ends, it counts."""
        self.drop(connection)
        self._given_up.add(connection)

    def close_idle(self) -> None:
        """End those without a mail, and wait a moment for that."""
        closing, self.idle = self.idle, []
        for connection in closing:
            self.drop(connection)
        until = time.monotonic() + GOODBYE
        for connection in closing:
            connection.join(max(0.0, until - time.monotonic()))
        if not self._all:
            self._limit, self._has_answered = 1, False

    def _grow(self, by: int) -> None:
        most = settings.EMAIL_CONNECTIONS if self._has_answered else UNTIL_AN_ANSWER
        self._limit = min(self._limit + by, most)
