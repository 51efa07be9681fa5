"""How every process is asked to stop, and how it waits.

A stop is safe at any time, and the current work is finished. A second signal ends the process at
once.
"""

from __future__ import annotations

import math
import os
import random
import select
import signal
import time
from types import FrameType

GRACE = 4.0
"""Seconds to finish the current work once asked to stop."""

LAST_RESORT = 9.0
"""Seconds after which a process that was asked to stop exits wherever it is.

A server that takes a query and never answers can block it forever. Exiting there is as safe as
anywhere: what was not committed is done again.
"""


class Stop:
    """Becomes true at SIGTERM or SIGINT, and ends any `wait` at once."""

    def __init__(self) -> None:
        self._stop_at: float | None = None
        self._exit_code = 0
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def on_signals(self, *, exit_code: int = 0) -> Stop:
        """Handle SIGTERM and SIGINT; only the main thread of a process may.

        `exit_code` is for an exit after `LAST_RESORT`: 0 if unfinished work is no failure.
        """
        self._exit_code = exit_code
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        signal.signal(signal.SIGALRM, self._out_of_time)
        return self

    def _signalled(self, number: int, _: FrameType | None) -> None:
        if self:
            os._exit(128 + number)
        self.ask()
        signal.setitimer(signal.ITIMER_REAL, LAST_RESORT)

    def _out_of_time(self, *_: object) -> None:
        # Not with the logger, which the signal may have interrupted.
        os.write(2, b"asked to stop, but something does not answer: exiting now\n")
        os._exit(self._exit_code)

    def done(self) -> None:
        """The work is finished: only the interpreter's exit is left, which needs no alarm."""
        signal.setitimer(signal.ITIMER_REAL, 0)

    def ask(self) -> None:
        self._stop_at = time.monotonic()
        os.write(self._writer, b"\0")

    def __bool__(self) -> bool:
        return self._stop_at is not None

    @property
    def overdue(self) -> bool:
        """Whether it was asked more than `GRACE` seconds ago: time to return unfinished work."""
        return self._stop_at is not None and time.monotonic() - self._stop_at > GRACE

    def wait(self, seconds: float, *others: int) -> None:
        """Wait for `seconds`, a stop, or until one of `others` (file descriptors) is readable."""
        ready = select.poll()  # not select(), which fails at the 1,024th descriptor
        for descriptor in (self._reader, *others):
            ready.register(descriptor, select.POLLIN)
        ready.poll(math.ceil(max(0.0, seconds) * 1000))


def next_delay(attempt: int, *, first: float, most: float) -> float:
    """Seconds to wait after attempt number `attempt` (from 1): doubled, at most `most`, jittered.

    The jitter subtracts up to half, so that clients that failed together do not retry together.
    """
    doubled = first * 2.0 ** min(attempt - 1, 30)
    return min(doubled, most) * random.uniform(0.5, 1.0)  # noqa: S311 (no secret depends on it)
