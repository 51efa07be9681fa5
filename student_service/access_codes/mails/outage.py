"""The mail server is away: leave it alone, longer each time, and log its outage once."""

from __future__ import annotations

import time

from admit_one.logs import EventLogger
from admit_one.processes.backoff import next_delay

logger = EventLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0
"""Seconds. A run outlasts the longest, so mails go on one pause after the server is back."""


class Outage:
    """What this process knows of the mail server. Rows hold nothing of it: no mail is to blame."""

    def __init__(self) -> None:
        self._failures = 0
        self._rest_until = 0.0

    @property
    def resting(self) -> bool:
        """Whether it is too early to try again."""
        return self.rest > 0.0

    @property
    def rest(self) -> float:
        """Seconds until it is time to try again."""
        return max(0.0, self._rest_until - time.monotonic())

    def begin(self, reason: str) -> None:
        """The server failed (again). Mails that fail at the same time count as one failure."""
        if self.resting:
            return
        self._failures += 1
        pause = next_delay(self._failures, first=FIRST_PAUSE, most=LONGEST_PAUSE)
        self._rest_until = time.monotonic() + pause
        if self._failures == 1:
            logger.warning(
                "mail_server_away", "mail server is away, mails wait: {reason}", reason=reason
            )

    def end(self) -> None:
        """The server works."""
        if self._failures:
            logger.warning(
                "mail_server_back",
                "mail server is back after {failures} failed connections",
                failures=self._failures,
            )
        self._failures = 0
        self._rest_until = 0.0
