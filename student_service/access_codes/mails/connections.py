"""The connections of a worker: how many there may be now, and which are free.

There is one at first. Each answer doubles the number, and without any, one more comes after growing
times: so a server that is going down costs few mails an attempt, and slow answers hold no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from django.conf import settings

from .attempt import Attempt
from .connection import Connected, Connection, Ended

SLOW = 0.5
"""Seconds without an answer after which one more connection may be made; then twice as many."""

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
        self._progress_at = self._more_at = 0.0
        self._most: int | None = None
        """How many the server takes, if that was noticed."""
        self.start_again()

    def start_again(self) -> None:
        """Nothing is known of the server any more."""
        self._begin_with_one()
        self._most = None

    def _begin_with_one(self) -> None:
        self._limit, self._patience = 1, SLOW

    @property
    def open(self) -> int:
        """To how many the server talks."""
        return sum(connection.is_open for connection in self._all)

    @property
    def all_hang(self) -> bool:
        """Whether as many have been given up as there may be, and none of them has ended."""
        self._given_up = {connection for connection in self._given_up if not connection.has_ended}
        return len(self._given_up) >= settings.EMAIL_CONNECTIONS

    def allowed(self, in_hand: int) -> int:
        """How many there may be now, of which so many have a mail in hand."""
        now = time.monotonic()
        if in_hand and now - self._progress_at > self._patience:
            self._progress_at = now
            self._patience *= 2
            self._grow(1)
        while self._most is not None and now > self._more_at:
            self._most += 1
            self._more_at += MORE_AFTER
        if self.all_hang:
            return 0
        limits = [self._limit, settings.EMAIL_CONNECTIONS - len(self._given_up)]
        return min([*limits, self._most] if self._most is not None else limits)

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
            self.start_again()
        elif attempt.domain:
            self._patience = SLOW
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
        self.start_again()

    def close_idle(self) -> None:
        """End those without a mail, and wait a moment for that."""
        closing = [*self.idle]
        for connection in (*closing, *self.opening):
            self.drop(connection)
        until = time.monotonic() + GOODBYE
        for connection in closing:
            connection.join(max(0.0, until - time.monotonic()))
        if not self._all:
            self._begin_with_one()

    def _grow(self, by: int) -> None:
        self._limit = min(self._limit + by, settings.EMAIL_CONNECTIONS)
