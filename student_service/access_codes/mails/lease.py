"""A worker's lease on a mail: short, and renewed for as long as its worker waits for the server.

So the mail of a killed worker waits only seconds, and that of a slow server as long as it takes.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable

from admit_one.database.outage import DATABASE_ERRORS, forget_connection
from admit_one.tasks import stopping
from django.conf import settings

from access_codes.models import MailIntent


def seconds() -> float:
    """After twice the time that a mail takes up to its final dot, its worker must be dead."""
    return 2.0 * settings.EMAIL_TIMEOUT


class Lease:
    """The lease on a claimed mail while it is handed over.

    Two threads share it: that of the connection asks, and that of the run, which has the database,
    answers and renews it. `claimed_at` is a moment before the claim, by the monotonic clock.
    """

    def __init__(
        self, intent: MailIntent, claimed_at: float, ask: Callable[[Lease], object]
    ) -> None:
        self._intent = intent
        self._ask = ask
        self._allowed: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._renewed_at = self._handed_over_at = claimed_at
        self._ends_at = claimed_at + seconds()
        self._is_lost = False

    # The thread of the connection:

    def hand_over(self) -> bool:
        """Call it before the final dot; False if another worker may have the mail: then there must
        be none.
        """
        self._handed_over_at = time.monotonic()
        if self._is_lost or self._handed_over_at > self._ends_at:
            return False
        if not self._intent.doubts:
            return True  # the first copy: its doubt is counted when nobody knows of its end
        self._ask(self)
        try:
            return self._allowed.get(timeout=settings.EMAIL_TIMEOUT)
        except queue.Empty:  # nobody can count its doubt now
            return False

    def keep(self) -> bool:
        """Call it often while the server is silent; False if the worker must wait no longer."""
        waited = time.monotonic() - self._handed_over_at
        return not self._is_lost and not (stopping.is_set() and waited > settings.EMAIL_TIMEOUT)

    # The thread of the run:

    def allow(self) -> None:
        """Answer `hand_over`: count the doubt about a further copy before there can be one."""
        try:
            may = self._intent.hand_over(seconds())
        except DATABASE_ERRORS:
            forget_connection()
            may = False
        self._allowed.put(may)

    def renew(self) -> None:
        """Call it often; it writes rarely."""
        now = time.monotonic()
        if now - self._renewed_at <= settings.EMAIL_TIMEOUT / 2:
            return
        self._renewed_at = now
        try:
            self._is_lost = not self._intent.renew(seconds())
        except DATABASE_ERRORS:  # the answer is worth more than the lease
            forget_connection()
        else:
            self._ends_at = now + seconds()

    def give_up(self) -> None:
        """Nobody waits for this mail any more."""
        self._is_lost = True
