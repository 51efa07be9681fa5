"""A worker sends the mails that are due: claim some, hand them over, finish them, claim the next.

Each connection to the mail server has a thread, and one mail in hand. The thread that calls
`send_due_mails` claims and finishes for all of them, several in one transaction: so a slow answer
on one connection holds no other, and no connection waits for a commit of its own.
"""

from __future__ import annotations

import copy
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import transaction

from access_codes.models import MailIntent

from . import claims, finishing
from .attempt import Attempt
from .connection import NAME, Connection, Ended, Given
from .lease import Lease
from .letters import Letters
from .outage import Outage
from .session import ServerUnavailable

TICK = 0.2
"""Seconds after which a run that waits for answers renews leases, and looks for other mails."""

SLOW = 0.5
"""Seconds without an answer after which one more connection is made for mails that wait."""

LINGER = 0.003
"""Seconds to wait for more answers after the first, so that they share a commit."""

GOODBYE = 2.0
"""Seconds to wait for connections to end: a goodbye takes one at most."""

outage = Outage()

T = TypeVar("T")


class Persist(Protocol):
    """Does a step, and may repeat it while the database is unavailable."""

    def __call__(self, step: Callable[[], T], /) -> T: ...


def once(step: Callable[[], T]) -> T:
    return step()


def send_due_mails(go_on: Callable[[], bool], persist: Persist = once) -> int:
    """Send the mails that are due, until none is left or `go_on()` is false.

    Returns the number of attempts. Several workers may do this at once. What `persist` repeats
    writes nothing if it fails; if it gives up, the mails in hand are in doubt.
    """
    if not go_on() or outage.rest or not persist(MailIntent.objects.due().exists):
        return 0
    if not outage.admit():  # it rests
        return 0
    return _Run(go_on, persist).run()


class _Run:
    def __init__(self, go_on: Callable[[], bool], persist: Persist) -> None:
        self._go_on, self._persist = go_on, persist
        self._letters = Letters()
        self._told: queue.SimpleQueue[Ended | Lease] = queue.SimpleQueue()
        self._idle: list[Connection] = []
        self._busy: dict[UUID, tuple[Connection, Given]] = {}
        self._limit = 1
        """Connections, for now: it doubles with each answer, and grows while there is none."""
        self._most: int = settings.EMAIL_CONNECTIONS - _threads()  # those that an earlier run left
        """Connections, at most: fewer than the setting if the server lets no more in."""
        self._progress_at = time.monotonic()
        self._bug: Exception | None = None

    def run(self) -> int:
        """Returns the number of attempts."""
        try:
            return self._send(min(1, self._most))
        finally:
            for connection in self._connections:
                connection.end()
            for connection in self._idle:
                connection.join(GOODBYE)

    def _send(self, room: int) -> int:
        attempts, ended = 0, list[Ended]()
        while True:
            answered, released = self._note(ended)
            attempts += len(answered)
            more = self._exchange(answered, released, room)
            if self._busy:
                ended = self._wait()
            elif more:
                ended = []
            elif self._bug is not None:
                raise self._bug
            else:
                return attempts
            room = self._room()

    @property
    def _connections(self) -> list[Connection]:
        return [*self._idle, *(connection for connection, _ in self._busy.values())]

    def _room(self) -> int:
        """How many mails may be claimed now."""
        if not self._go_on() or outage.rest or self._bug:
            return 0
        if not self._idle and time.monotonic() - self._progress_at > SLOW:
            self._progress_at = time.monotonic()
            self._grow(1)
        most = 1 if outage.held else min(self._limit, self._most)
        return max(0, most - len(self._busy))

    def _exchange(
        self,
        answered: Sequence[tuple[MailIntent, Attempt]],
        released: Sequence[MailIntent],
        room: int,
    ) -> bool:
        """Finish some, claim others and hand them over; returns whether more may be due."""
        if not (answered or released or room):
            return False
        held = outage.held

        def in_one_transaction() -> tuple[Sequence[MailIntent], bool]:
            with transaction.atomic():
                finishing.finish_all(answered, held=held)
                for intent in released:
                    copy.copy(intent).release()
                return claims.take(room) if room else ([], False)

        claimed, more = self._persist(in_one_transaction)
        for intent in claimed:
            connection = (
                self._idle.pop() if self._idle else Connection(self._letters, self._told.put)
            )
            given = Given(intent, Lease(intent, self._told.put))
            self._busy[intent.pk] = connection, given
            connection.give(given)
        return more

    def _wait(self) -> list[Ended]:
        """What has ended; waits for the first of it, a moment at most."""
        ended = self._next(TICK)
        if ended:
            self._progress_at = time.monotonic()
            until = self._progress_at + LINGER
            while self._busy and (left := until - time.monotonic()) > 0:
                ended += self._next(left)
        for _, given in self._busy.values():
            given.lease.renew()
        return ended

    def _next(self, seconds: float) -> list[Ended]:
        try:
            told = self._told.get(timeout=seconds)
        except queue.Empty:
            return []
        if isinstance(told, Lease):
            self._persist(told.allow)
            return []
        del self._busy[told.given.intent.pk]
        self._idle.append(told.connection)
        return [told]

    def _note(
        self, ended: Sequence[Ended]
    ) -> tuple[list[tuple[MailIntent, Attempt]], list[MailIntent]]:
        """The mails that were attempted, and those that were not; what it says of the server."""
        answered, released = [], []
        for connection, (intent, _), result in ended:
            if isinstance(result, Attempt):
                outage.note(result)
                answered.append((intent, result))
                if not result.connection_broke:
                    self._grow(self._limit)
            elif isinstance(result, ServerUnavailable):
                released.append(intent)
                self._let_in_no_more(connection, result)
            else:
                self._bug = result
        return answered, released

    def _let_in_no_more(self, refused: Connection, error: ServerUnavailable) -> None:
        """It took no mail: it is unavailable, unless it has let in others of our connections."""
        self._idle.remove(refused)
        refused.end()
        if any(connection.is_open for connection in self._connections):
            self._most = len(self._connections)
        else:
            outage.unavailable(error)

    def _grow(self, by: int) -> None:
        self._limit = min(self._limit + by, self._most)


def _threads() -> int:
    return sum(thread.name == NAME for thread in threading.enumerate())
