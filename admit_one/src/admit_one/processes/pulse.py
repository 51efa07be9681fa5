"""What a process knows of its own work: its loop writes it down, whoever asks reads it.

Writing costs an assignment, so that a loop does it at every turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

STILL_ALIVE = 60.0
"""Seconds without a beat after which a loop hangs.

Its longest wait is for a database that takes a query and does not answer: 15 s until the system
gives the connection up, twice, and for a new connection.
"""

RECENT = 30.0
"""Seconds after which a contact with broker or database is none any more."""

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
        """What keeps the work from going on just now."""
        self.checks: list[Callable[[], str]] = []
        """Further questions about readiness: each answers with what is wrong, or nothing."""

    def beat(self) -> None:
        """The loop has come round."""
        self._beat_at = time.monotonic()

    def rest(self) -> None:
        """No beat is to be missed until the next one."""
        self._beat_at = -NEVER

    def connected(self) -> None:
        """The work can be done: connected, and everything that is needed was found."""
        self._connected = True
        self._heard_at = time.monotonic()

    def disconnected(self, why: str) -> None:
        self._connected, self._why = False, why

    def heard(self, frames: int) -> None:
        """So many frames have come from the broker over this connection."""
        if frames != self._frames:
            self._frames, self._heard_at = frames, time.monotonic()

    def worked(self, frames: int) -> None:
        """A turn of a loop is done that asks the database at every turn; `frames` as in `heard`."""
        self._beat_at = self._reached_at = time.monotonic()
        self.trouble = ""
        self.heard(frames)

    def hangs(self) -> str:
        """Why this process is to be restarted, or nothing."""
        silent = time.monotonic() - self._beat_at
        return f"its loop has not come round for {silent:.0f} s" if silent > STILL_ALIVE else ""

    def why_not_ready(self) -> list[str]:
        """All that keeps this process from its work; empty if it does it."""
        reasons = [self.hangs(), self.trouble]
        reasons += self._silence() if self._connected else [self._why]
        reasons += [check() for check in self.checks]
        return [reason for reason in dict.fromkeys(reasons) if reason]

    def _silence(self) -> Iterator[str]:
        contacts = (("the broker", self._heard_at), ("the database", self._reached_at))
        for whom, at in contacts:
            silent = time.monotonic() - at
            if RECENT < silent < -NEVER:  # who never was asked is not missed
                yield f"nothing was heard of {whom} for {silent:.0f} s"


pulse = Pulse()
"""This process's own."""
