"""A worker sends the mails that are due: claim some, hand them over, finish them, claim the next.

Each connection to the mail server has a thread, and one mail in hand. The thread of the run claims
and finishes for all of them, several in one transaction: so a slow answer on one connection holds
no other, and no connection waits for a commit of its own.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable

from admit_one.logs import EventLogger
from admit_one.tasks import stopping
from django.conf import settings

from access_codes.models import MailIntent

from . import faults
from .attempt import AGAIN, Attempt, Ending
from .connection import Connected, Ended, Given
from .connections import Connections
from .in_hand import Handed, InHand
from .lease import Lease
from .letters import Letters
from .outage import Outage
from .results import Results
from .session import ServerUnavailable

logger = EventLogger(__name__)

TICK = 0.2
"""Seconds after which a run that waits for answers renews leases, and looks for other mails."""

LINGER = 0.003
"""Seconds to wait for more answers after the first, so that they share a commit."""

LONGEST_RUN = 300.0
"""Seconds after which a run claims nothing more, however slow an answer is."""

LONGEST_TASK = 1_500.0
"""Seconds after which the last mail in hand has ended: RabbitMQ waits half an hour for a task."""

outage = Outage()


def send_due_mails(go_on: Callable[[], bool]) -> int:
    """Send the mails that are due, until none is left or `go_on()` is false.

    Returns the number of attempts. Several workers may do this at once, but one thread of each.
    It ends with no mail in hand. While an answer is slow, it goes on with the other mails all the
    same, if the worker is not to stop.
    Raises a database error: what is in hand, or not written yet, the next call finishes. Raises
    `AllHang` if only another process can send mails.
    """
    return sender.run(go_on)


class AllHang(Exception):
    """All connections to the mail server hang, so that this process can send no mail."""


class Sender:
    """The connections of this process, the mails in hand, and results that are not written yet."""

    def __init__(self) -> None:
        self._reports: queue.SimpleQueue[Connected | Ended | Lease] = queue.SimpleQueue()
        self._connections = Connections(self._reports.put)
        self._in_hand = InHand()
        self._results = Results()
        self._may_try = False
        """Whether a held queue has been allowed a try that was not made yet."""
        self._hangs = False

    def run(self, go_on: Callable[[], bool]) -> int:
        """See `send_due_mails`."""
        before, began, letters = self._results.attempts, time.monotonic(), Letters()
        self._catch_up()
        while True:
            tried = self._results.attempts - before
            may_claim = go_on() or self._goes_on_beside_slow(began, tried)
            if self._exchange(self._allowed() if may_claim else 0, letters):
                self._look()
            elif self._in_hand or (self._connections.opening and not stopping.is_set()):
                self._wait()
            elif may_claim and self._results.rest:
                stopping.wait(self._results.rest)
            else:
                break
        self._connections.close_idle()
        self._require_one_that_works()
        return self._results.attempts - before

    def _catch_up(self) -> None:
        """After a database error: take what has ended since, before mails count as nobody's."""
        self._look()
        self._results.write(0, self._in_hand.ids, held=outage.held)

    def _goes_on_beside_slow(self, began: float, tried: int) -> bool:
        """Whether a run whose time is over claims mails: a slow answer holds no other.

        Nor does a server that took all the time to let us in.
        """
        is_over = time.monotonic() - began > min(LONGEST_RUN, LONGEST_TASK - _longest())
        is_slow = self._in_hand.are_slow or (self._connections.idle and not tried)
        return bool(is_slow) and not is_over and not stopping.is_set()

    def _allowed(self) -> int:
        """How many mails may be in hand now. While the queue is held, that is one try."""
        if outage.held:
            self._may_try = self._may_try or (
                not self._in_hand and MailIntent.objects.due().exists() and outage.admit()
            )
            return int(self._may_try and not self._connections.all_hang)
        self._may_try = False
        return 0 if outage.rest else self._connections.allowed(len(self._in_hand))

    def _exchange(self, allowed: int, letters: Letters) -> bool:
        """Write what has ended, and claim mails for idle connections.

        Returns whether to do it again at once: what was due was no mail to send.
        """
        room = min(len(self._connections.idle), allowed - len(self._in_hand))
        claimed_at = time.monotonic()
        claimed = self._results.write(max(0, room), self._in_hand.ids, held=outage.held)
        for intent in claimed.mails:
            given = Given(intent, Lease(intent, claimed_at, self._reports.put), letters)
            self._in_hand.give(self._connections.idle.pop(), given, claimed_at)
            self._may_try = False
        if claimed.some_went and claimed.more:
            return True
        under_way = len(self._in_hand) + len(self._connections.opening)
        if (
            under_way < allowed
            and not self._connections.idle
            and (claimed.more or (room <= 0 and MailIntent.objects.due().exists()))
        ):
            self._connections.open_one()
        return False

    def _look(self) -> None:
        """Take what has ended, without waiting for it, and renew leases."""
        while self._next(0):
            pass
        self._in_hand.renew()

    def _wait(self) -> None:
        """Wait for the first that ends, a moment at most, and take what ends soon after."""
        if self._next(TICK):
            until = time.monotonic() + LINGER
            while self._in_hand and (left := until - time.monotonic()) > 0:
                self._next(left)
        self._give_up_what_hangs()
        self._in_hand.renew()

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
        elif self._in_hand.take_back(report):
            self._note(report)
        else:
            self._connections.drop(report.connection)  # it was given up, but may know more
            if isinstance(report.result, Attempt) and report.result.ending is Ending.SENT:
                self._results.keep(report.given.intent, report.result)
        return True

    def _connected(self, report: Connected) -> None:
        if report.connection not in self._connections.opening:
            return  # nobody waits for it any more
        if report.error is None:
            self._connections.let_in(report.connection)
        else:
            self._connections.drop(report.connection)
            self._turned_away(report.error)

    def _turned_away(self, error: ServerUnavailable) -> None:
        """It took no mail: it is unavailable, unless it has let in others of our connections."""
        self._may_try = False
        if self._connections.open:
            self._connections.be_fewer()
        else:
            self._connections.start_again()
            outage.unavailable(error)

    def _note(self, ended: Ended) -> None:
        """What an attempt says of the mail, of its connection, and of the server."""
        (intent, lease, _), result = ended.given, ended.result
        self._connections.give_back(ended.connection)
        if isinstance(result, ServerUnavailable):
            self._turned_away(result)
            result = Attempt(Ending.NOT_TRIED, str(result))
        elif result.ending is Ending.TOO_MANY and self._connections.open > 1:
            self._connections.drop(ended.connection)
            self._connections.be_fewer()
            result = Attempt(Ending.NOT_TRIED, result.answer, pause=AGAIN)
        elif not lease.is_lost:  # otherwise it says nothing of the server
            outage.note(result)
            self._connections.note(result)
            if outage.held and not result.domain and not lease.is_handed_over:
                self._may_try = True  # the server was not asked
        self._results.keep(intent, result)

    def _give_up_what_hangs(self) -> None:
        """No dialogue takes so long: it is in something that has no deadline."""
        now = time.monotonic()
        for connection, since in list(self._connections.opening.items()):
            if now - since > 3 * settings.EMAIL_TIMEOUT:
                self._connections.give_up(connection)
                self._turned_away(ServerUnavailable("no connection is made"))
        patience = 2 * settings.EMAIL_TIMEOUT if stopping.is_set() else _longest()
        if self._in_hand.older_than(patience):
            self._look()  # this process may have stood still while they ended
        for hanging in self._in_hand.older_than(patience):
            self._give_up(hanging)

    def _give_up(self, hanging: Handed) -> None:
        self._in_hand.forget(hanging)
        self._connections.give_up(hanging.connection)
        was_handed_over = hanging.given.lease.give_up()
        attempt = Attempt(Ending.NOT_TRIED, "", pause=faults.PAUSE)
        if was_handed_over:
            attempt = Attempt(Ending.LOST, "the connection does not answer")
        outage.note(attempt)
        self._results.keep(hanging.given.intent, attempt)

    def _require_one_that_works(self) -> None:
        hung, self._hangs = self._hangs, self._connections.all_hang
        if not self._hangs or stopping.is_set():
            return
        why = "all connections to the mail server hang: restart this worker"
        if not hung:
            logger.error("mail_connections_hang", why)
        raise AllHang(why)


def _longest() -> float:
    """Seconds after which a mail in hand is given up."""
    return 5.0 * settings.EMAIL_TIMEOUT + settings.EMAIL_ACCEPT_TIMEOUT


sender = Sender()
