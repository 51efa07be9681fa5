"""A worker sends the mails that are due: claim some, hand them over, finish them, claim the next.

Each connection to the mail server has a thread, and one mail in hand. The thread of the run claims
and finishes for all of them, several in one transaction: so a slow answer on one connection holds
no other, and no connection waits for a commit of its own.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID

from admit_one.database.outage import DATABASE_ERRORS
from admit_one.messaging.inbox import database_works
from admit_one.tasks import stopping
from django.conf import settings
from django.db import transaction

from access_codes.models import MailIntent

from . import claims, finishing
from .attempt import Attempt, Ending
from .connection import Connected, Connection, Ended, Given
from .connections import Connections
from .lease import Lease
from .letters import Letters
from .outage import Outage
from .session import ServerUnavailable

TICK = 0.2
"""Seconds after which a run that waits for answers renews leases, and looks for other mails."""

LINGER = 0.003
"""Seconds to wait for more answers after the first, so that they share a commit."""

AGAIN = 1.0
"""Seconds that a mail waits if it was refused for the number of connections."""

outage = Outage()


def send_due_mails(go_on: Callable[[], bool]) -> int:
    """Send the mails that are due, until none is left or `go_on()` is false.

    Returns the number of attempts. Several workers may do this at once, but one thread of each.
    Mails that are in hand at the end are finished by the next call, unless the worker is to stop:
    then this waits for them. Raises a database error: what is not written yet, the next call
    writes.
    """
    return sender.run(go_on)


class _InHand(NamedTuple):
    connection: Connection
    given: Given
    since: float


class Sender:
    """The connections of this process, the mails in hand, and results that are not written yet."""

    def __init__(self) -> None:
        self._reports: queue.SimpleQueue[Connected | Ended | Lease] = queue.SimpleQueue()
        self._connections = Connections(self._reports.put)
        self._in_hand: dict[UUID, _InHand] = {}
        self._answered: list[tuple[MailIntent, Attempt]] = []
        self._released: list[tuple[MailIntent, float]] = []
        self._may_try = False
        """Whether a held queue has been allowed a try that was not made yet."""
        self._bug: Exception | None = None

    def run(self, go_on: Callable[[], bool]) -> int:
        """See `send_due_mails`."""
        attempts, letters, self._bug = 0, Letters(), None
        while True:
            attempts += len(self._answered)
            allowed = self._allowed() if go_on() and self._bug is None else 0
            more = self._exchange(allowed, letters)
            if self._in_hand or (self._connections.opening and not stopping.is_set()):
                if not go_on() and not stopping.is_set():
                    return attempts
                self._wait()
            elif not more:
                break
        self._connections.close_idle()
        if self._bug is not None:
            raise self._bug
        return attempts

    def _allowed(self) -> int:
        """How many mails may be in hand now. While the queue is held, that is one try."""
        if outage.held:
            self._may_try = self._may_try or (
                not self._in_hand and MailIntent.objects.due().exists() and outage.admit()
            )
            return int(self._may_try)
        self._may_try = False
        return 0 if outage.rest else self._connections.allowed(len(self._in_hand))

    def _exchange(self, allowed: int, letters: Letters) -> bool:
        """Write what has ended, and claim mails for idle connections; whether to do it again."""
        room = min(len(self._connections.idle), allowed - len(self._in_hand))
        claimed_at = time.monotonic()
        claimed, more = self._write(max(0, room))
        for intent in claimed:
            connection = self._connections.idle.pop()
            given = Given(intent, Lease(intent, claimed_at, self._reports.put), letters)
            self._in_hand[intent.pk] = _InHand(connection, given, claimed_at)
            connection.give(given)
            self._may_try = False
        if more and self._connections.idle:
            return True  # what was due was no mail to send
        under_way = len(self._in_hand) + len(self._connections.opening)
        if under_way < allowed and (more or (room <= 0 and MailIntent.objects.due().exists())):
            self._connections.open_one()
        return False

    def _write(self, room: int) -> tuple[Sequence[MailIntent], bool]:
        """In one transaction: finish what has ended, and claim up to `room` mails.

        Also returns whether more may be due. Raises a database error if the database is away.
        """
        # A release is not repeated: if the first one was committed although its answer was lost,
        # another worker may have claimed the mail with the same number.
        released, self._released = self._released, []
        if not (self._answered or released or room):
            return [], False
        try:
            with transaction.atomic():
                finishing.finish_all(self._answered, held=outage.held)
                for intent, pause in released:
                    intent.release(pause=pause)
                claimed = claims.take(room) if room else ([], False)
        except Exception as error:
            if isinstance(error, DATABASE_ERRORS) and not database_works():
                raise
            self._bug = error
            self._write_one_by_one()
            return [], False
        self._answered = []
        return claimed

    def _write_one_by_one(self) -> None:
        """One result that cannot be written costs no other. Raises as `_write`."""
        while self._answered:
            try:
                with transaction.atomic():
                    finishing.finish_all(self._answered[:1], held=outage.held)
            except Exception as error:
                if isinstance(error, DATABASE_ERRORS) and not database_works():
                    raise
                self._bug = error
            del self._answered[0]

    def _wait(self) -> None:
        """Wait for the first that ends, a moment at most, and take what ends soon after."""
        if self._next(TICK):
            until = time.monotonic() + LINGER
            while self._in_hand and (left := until - time.monotonic()) > 0:
                self._next(left)
        self._give_up_what_hangs()
        for each in self._in_hand.values():
            each.given.lease.renew()

    def _next(self, seconds: float) -> bool:
        """Take the next report of a connection; false if there is none in time."""
        try:
            report = self._reports.get(timeout=seconds)
        except queue.Empty:
            return False
        if isinstance(report, Lease):
            report.allow()
        elif isinstance(report, Connected):
            self._connected(report)
        elif self._is_in_hand(report):
            del self._in_hand[report.given.intent.pk]
            self._note(report)
        else:
            self._connections.drop(report.connection)  # it was given up
        return True

    def _is_in_hand(self, ended: Ended) -> bool:
        in_hand = self._in_hand.get(ended.given.intent.pk)
        return in_hand is not None and in_hand.given is ended.given

    def _connected(self, report: Connected) -> None:
        if report.connection not in self._connections.opening:
            return  # it was given up
        if report.error is None:
            self._connections.let_in(report.connection)
            return
        self._connections.drop(report.connection)
        if isinstance(report.error, ServerUnavailable):
            self._turned_away(report.error)
        else:
            self._bug = report.error

    def _turned_away(self, error: ServerUnavailable) -> None:
        """It took no mail: it is unavailable, unless it has let in others of our connections."""
        self._may_try = False
        if self._connections.open:
            self._connections.be_fewer()
        else:
            outage.unavailable(error)

    def _note(self, ended: Ended) -> None:
        """What an attempt says of the mail, of its connection, and of the server."""
        (intent, _, _), result = ended.given, ended.result
        self._connections.give_back(ended.connection)
        if isinstance(result, ServerUnavailable):
            self._released.append((intent, 0.0))
            self._turned_away(result)
        elif not isinstance(result, Attempt):
            self._bug = result
        elif result.ending is Ending.TOO_MANY and self._connections.open > 1:
            self._connections.drop(ended.connection)
            self._connections.be_fewer()
            self._released.append((intent, AGAIN))
        else:
            outage.note(result)
            self._answered.append((intent, result))
            self._connections.note(result)
            if outage.held and not result.domain:
                self._may_try = True  # the server was not asked

    def _give_up_what_hangs(self) -> None:
        """No dialogue takes so long: it is in something that has no deadline."""
        overdue = time.monotonic() - 5 * settings.EMAIL_TIMEOUT - settings.EMAIL_ACCEPT_TIMEOUT
        for connection, since in list(self._connections.opening.items()):
            if since < overdue:
                self._connections.give_up(connection)
                self._turned_away(ServerUnavailable("no connection is made"))
        for pk, (connection, given, since) in list(self._in_hand.items()):
            if since < overdue:
                del self._in_hand[pk]
                given.lease.give_up()
                self._connections.give_up(connection)
                attempt = Attempt(Ending.LOST, "the connection does not answer")
                outage.note(attempt)
                self._answered.append((given.intent, attempt))


sender = Sender()
