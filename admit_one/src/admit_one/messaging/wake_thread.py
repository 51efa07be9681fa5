"""A thread that sends wake-ups, so that no request waits for one.

Under load, one wake-up is for all that was committed meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from admit_one.database import outage

INTERVAL = 0.005
"""Seconds between two wake-ups. Whoever is awake looks for more by itself."""

IDLE = 30.0
"""Seconds without a wake-up after which the thread closes its database connection."""


class WakeThread:
    """Calls `send`, which must not raise, soon after each `ring`. Ends with the process."""

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
            self._send()
            time.sleep(INTERVAL)
