"""The state of a process's work: its loop records it, the health port reads it.

Recording costs one assignment, so a loop can do it at every turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

STILL_ALIVE = 60.0
"""Seconds without a beat after which a loop counts as hanging.

Its longest wait is for a database that takes a query and never answers: twice the 15 s after which
the system gives up the connection, plus the time for a new one.
"""

RECENT = 30.0
"""Seconds after which the last contact with broker or database is too old."""

NEVER = float("-inf")


class Pulse:
    """The state of one process. All times are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._beat_at = time.monotonic()
        self._heard_at = self._reached_at = NEVER
        self._frames = -1
        self._connected = False
        self._why = "it is starting"
        self.trouble = ""
        """What blocks the work now; empty if nothing does."""
        self.checks: list[Callable[[], str]] = []
        """More readiness checks: each returns what is wrong, or an empty text."""

    def beat(self) -> None:
        """Record a turn of the loop."""
        self._beat_at = time.monotonic()

    def rest(self) -> None:
        """Expect no beats until the next one."""
        self._beat_at = -NEVER

    def connected(self) -> None:
        """Record that the process is connected and has all that its work needs."""
        self._connected = True
        self._heard_at = time.monotonic()

    def needs_no_broker(self) -> None:
        """Record that the process can work without a broker: nothing is to be heard from one."""
        self._connected, self._heard_at = True, -NEVER

    @property
    def is_connected(self) -> bool:
        """Whether the last that was reported is a connection."""
        return self._connected

    def disconnected(self, why: str) -> None:
        self._connected, self._why = False, why

    def heard(self, frames: int) -> None:
        """Record the number of frames that the broker has sent over this connection."""
        if frames != self._frames:
            self._frames, self._heard_at = frames, time.monotonic()

    def worked(self, frames: int) -> None:
        """Record a turn of the loop that has used the database; `frames` as in `heard`."""
        self._beat_at = self._reached_at = time.monotonic()
        self.trouble = ""
        self.heard(frames)

    def hangs(self) -> str:
        """Why this process should be restarted; empty if it need not be."""
        silent = time.monotonic() - self._beat_at
        return f"its loop has made no progress for {silent:.0f} s" if silent > STILL_ALIVE else ""

    def why_not_ready(self) -> list[str]:
        """Everything that keeps this process from its work; empty if nothing does."""
        reasons = [self.hangs(), self.trouble]
        reasons += self._silence() if self._connected else [self._why]
        return [reason for reason in dict.fromkeys(reasons + self.complaints()) if reason]

    def complaints(self) -> list[str]:
        """What the further checks find wrong."""
        return [reason for reason in (check() for check in self.checks) if reason]

    def _silence(self) -> Iterator[str]:
        contacts = (("the broker", self._heard_at), ("the database", self._reached_at))
        for whom, at in contacts:
            silent = time.monotonic() - at
            if RECENT < silent < -NEVER:  # not one that was never used
                yield f"nothing was heard from {whom} for {silent:.0f} s"


pulse = Pulse()
