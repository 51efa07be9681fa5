"""A worker's lease on a mail: short, and renewed for as long as its worker waits for the server.

So the mail of a killed worker waits only seconds, and that of a slow server as long as it takes.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable

from admit_one.database.outage import DATABASE_ERRORS, forget_connection
from admit_one.logs import EventLogger
from admit_one.masking import mask
from admit_one.tasks import stopping
from django.conf import settings

from access_codes.models import MailIntent

logger = EventLogger(__name__)


def seconds() -> float:
    """After twice the time that a mail takes up to its final dot, its worker must be dead."""
    return 2.0 * settings.EMAIL_TIMEOUT


def renew(leases: Iterable[Lease]) -> None:
    """Renew those that are due, together; call it often. Raises a database error."""
    now = time.monotonic()
    due = {lease.intent.pk: lease for lease in leases if lease.is_due(now)}
    if due:
        ours = MailIntent.objects.renew([lease.intent for lease in due.values()], seconds())
        for pk, lease in due.items():
            lease.renewed(now, is_ours=pk in ours)


class Lease:
    """The lease on a claimed mail while it is handed over.

    Two threads share it: that of the connection asks, and that of the run, which has the database,
    answers and renews it. `claimed_at` is a moment before the claim, by the monotonic clock.
    """

    def __init__(
        self, intent: MailIntent, claimed_at: float, ask: Callable[[Lease], object]
    ) -> None:
        self.intent = intent
        self.is_lost = False
        """Whether the mail is another worker's, or nobody waits for it any more."""
        self.is_handed_over = False
        self._ask = ask
        self._allowed: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._lock = threading.Lock()
        """So that a mail is either given up or handed over first."""
        self._handed_over_at = 0.0
        self._renewed(claimed_at)

    # The thread of the connection:

    def hand_over(self) -> bool:
        """Call it before the final dot; False if another worker may have the mail: then there must
        be none.
        """
        # The doubt about a first copy is counted when nobody knows of its end.
        if self.intent.doubts and not self._is_counted():
            return False
        with self._lock:
            self._handed_over_at = time.monotonic()
            self.is_handed_over = not self.is_lost and self._handed_over_at < self._ends_at
            return self.is_handed_over

    def keep(self) -> bool:
        """Call it often while the server is silent; False if the worker must wait no longer."""
        waited = time.monotonic() - self._handed_over_at
        return not self.is_lost and not (stopping.is_set() and waited > settings.EMAIL_TIMEOUT)

    def _is_counted(self) -> bool:
        self._ask(self)
        try:
            return self._allowed.get(timeout=settings.EMAIL_TIMEOUT)
        except queue.Empty:  # nobody can count its doubt now
            return False

    # The thread of the run:

    def allow(self) -> None:
        """Answer `hand_over`: count the doubt about a further copy before there can be one."""
        now, may = time.monotonic(), False
        try:
            may = not self.is_lost and self.intent.hand_over(seconds())
        except DATABASE_ERRORS as error:
            forget_connection()
            logger.warning(
                "mail_not_handed_over",
                "mail {mail}: no copy is sent now, as the database cannot record it: {error}",
                mail=self.intent.message_id,
                error=mask(str(error)).strip(),
            )
        if may:
            self._renewed(now)
        self._allowed.put(may)

    def is_due(self, now: float) -> bool:
        """Whether to renew it."""
        return now - self._renewed_at > settings.EMAIL_TIMEOUT / 2

    def renewed(self, at: float, *, is_ours: bool) -> None:
        """The database has taken that it goes on, or it is lost."""
        self.is_lost = not is_ours
        if is_ours:
            self._renewed(at)

    def give_up(self) -> bool:
        """Nobody waits for this mail any more; returns whether it was handed over."""
        with self._lock:
            self.is_lost = True
            return self.is_handed_over

    def _renewed(self, at: float) -> None:
        self._renewed_at, self._ends_at = at, at + seconds()
