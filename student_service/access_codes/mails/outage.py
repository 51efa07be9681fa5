"""Growing pauses while the mail server is unavailable or refuses us; each outage is logged once.

If it refuses us, the queue is held: every few minutes one mail is tried, a different one each
time, and once the server accepts one, all mails resume.
"""

from __future__ import annotations

import time

from admit_one.logs import EventLogger
from admit_one.processes import Announcer, next_delay

from access_codes import metrics

from .attempt import Attempt, Ending
from .session import ServerUnavailable

logger = EventLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0
"""Seconds. A run outlasts the longest, so mails resume at most one pause after the server does."""

FIRST_HOLD, LONGEST_HOLD = 30.0, 300.0
"""Seconds between two tries of a held queue."""

TEMPORARY_REFUSALS = 3
"""Refusals of class 4 before RCPT, in a row, that hold the queue; one of class 5 is enough."""

SAME_REFUSALS, DOMAINS = 5, 3
"""Mails in a row that are refused alike, and their domains at least, that hold the queue."""


class Outage:
    """The state of the mail server, as this process sees it. No mail is charged an attempt.

    For one thread: that of the run.
    """

    def __init__(self) -> None:
        self._announcer = Announcer()
        self._alike = ("", 0, frozenset[str]())
        self._forget()

    def _forget(self) -> None:
        self._failures = self._tries = self._temporary = 0
        self._rest_until = 0.0
        self._held_since: float | None = None
        self._held_by_mails = False

    @property
    def rest(self) -> float:
        """Seconds until the next attempt; 0 if it may be made now."""
        return max(0.0, self._rest_until - time.monotonic())

    @property
    def held(self) -> bool:
        """Whether the server refuses us, so that only one mail may try."""
        return self._held_since is not None

    def admit(self) -> bool:
        """Whether to try now. While the queue is held, that is one try."""
        if self.rest:
            return False
        if self.held:
            self._pause_hold()
        return True

    def unavailable(self, error: ServerUnavailable) -> None:
        """The server took no mail at all."""
        if error.kind:
            self._temporary += 1
        if error.kind == 5 or self._temporary >= TEMPORARY_REFUSALS:
            self._hold(str(error))
        else:
            self.begin(str(error))

    def note(self, attempt: Attempt) -> None:
        """How an attempt ended shows whether the server is well, and whether it refuses us."""
        if attempt.connection_broke:
            self.begin(attempt.answer)
        elif attempt.domain:  # it was the server's answer
            if attempt.ending is Ending.SENT or not self._held_by_mails:
                self.end()
            if attempt.ending is Ending.SENDER_REFUSED:
                self._refused(attempt)
            else:
                self._alike = ("", 0, frozenset())

    def begin(self, reason: str) -> None:
        """The server failed. Mails that fail at the same time count as one failure."""
        if self.rest or self.held:
            return
        self._failures += 1
        pause = next_delay(self._failures, first=FIRST_PAUSE, most=LONGEST_PAUSE)
        self._rest_until = time.monotonic() + pause
        self._announcer.trouble(
            "mail_server_unavailable",
            "the mail server is unavailable, and mails wait: {reason}",
            reason=reason,
        )

    def _refused(self, attempt: Attempt) -> None:
        kind, count, domains = self._alike
        if kind != attempt.kind:
            count, domains = 0, frozenset()
        count, domains = count + 1, domains | {attempt.domain}
        self._alike = attempt.kind, count, domains
        if count >= SAME_REFUSALS and len(domains) >= DOMAINS:
            self._hold(attempt.answer, by_mails=True)

    def _hold(self, reason: str, *, by_mails: bool = False) -> None:
        if self.held:
            return
        self._held_since = time.monotonic()
        self._held_by_mails = by_mails
        self._pause_hold()
        metrics.HELD.set(1)
        logger.error(
            "mail_queue_held",
            "the mail server refuses us, all mails wait, and one tries every few minutes: {reason}",
            reason=reason,
        )

    def _pause_hold(self) -> None:
        self._tries += 1
        pause = next_delay(self._tries, first=FIRST_HOLD, most=LONGEST_HOLD)
        self._rest_until = time.monotonic() + pause

    def end(self) -> None:
        """The server is well."""
        self._announcer.over("mail_server_back", "the mail server is back")
        if self._held_since is not None:
            metrics.HELD.set(0)
            logger.warning(
                "mail_queue_released",
                "mail server accepts us again after {seconds:.0f} s, and mails go on",
                seconds=time.monotonic() - self._held_since,
            )
        self._forget()
