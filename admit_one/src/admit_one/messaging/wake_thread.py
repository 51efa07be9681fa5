"""A thread that sends wake-ups, so that no request waits for one.

Under load, one wake-up is for all that was committed meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from admit_one.database import outage
from admit_one.logs import EventLogger
from admit_one.masking import mask

logger = EventLogger(__name__)

INTERVAL = 0.005
"""Seconds between two wake-ups. Whoever is awake looks for more by itself."""

IDLE = 30.0
"""Seconds without a wake-up after which the thread closes its database connection."""

AGAIN = 1.0
"""Seconds between two attempts while the database is away."""


class WakeThread:
    """Calls `send` soon after each `ring`, again while the database is away. Ends with the process.

    Whatever else `send` raises ends the thread.
    """

    def __init__(self, send: Callable[[], None]) -> None:
        self._send = send
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="wake-ups", daemon=True)
        self._thread.start()

    def is_running(self) -> bool:
        """Whether there is such a thread in this process. None survives a fork."""
        return self._thread is not None and self._thread.is_alive()

    def ring(self) -> None:
        """Have `send` called. Returns at once."""
        if not self._wanted.is_set():
            self._wanted.set()

    def _run(self) -> None:
        while True:
            if not self._wanted.wait(IDLE):
                outage.forget_connection()
                self._wanted.wait()
            self._wanted.clear()
            outage.refresh_connection()
            self._send_at_last()
            time.sleep(INTERVAL)

    def _send_at_last(self) -> None:
        failures = 0
        while True:
            try:
                self._send()
            except outage.DATABASE_ERRORS as error:
                failures += 1
                outage.forget_connection()
                if failures == 1:
                    continue  # over a new connection: the old one may have died since
                if failures == 2:
                    self._report(error)
                time.sleep(AGAIN)
            else:
                return

    def _report(self, error: Exception) -> None:
        logger.warning(
            "wake_up_failed",
            "no wake-up can be sent, next attempt in {pause:.0f} s: {error}",
            pause=AGAIN,
            error=mask(str(error)).strip(),
        )
