"""One way to be asked to stop, and one way to wait.

The contract of stopping: safe before the start, safe twice, and the work in hand is finished.
A second signal ends the process at once.
"""

from __future__ import annotations

import math
import os
import select
import signal
import time
from types import FrameType

GRACE = 4.0
"""Seconds for the work in hand once asked to stop."""

LAST_RESORT = 9.0
"""Seconds after which a process that was asked to stop ends wherever it stands.

A server that takes a query and never answers can hold it for ever. Ending there is as safe as
anywhere: what is not committed comes again.
"""


class Stop:
    """Becomes true at SIGTERM or SIGINT, and ends any `wait` at once."""

    def __init__(self) -> None:
        self._stop_at: float | None = None
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def on_signals(self) -> Stop:
        """Listen to SIGTERM and SIGINT; only the main thread of a process may."""
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
        # Not by the logger: the signal may have come while it was writing.
        os.write(2, b"asked to stop, and something does not answer: ending here\n")
        os._exit(0)

    def done(self) -> None:
        """The work is finished: what is left is the interpreter's own end, which needs no alarm."""
        signal.setitimer(signal.ITIMER_REAL, 0)

    def ask(self) -> None:
        self._stop_at = time.monotonic()
        os.write(self._writer, b"\0")

    def __bool__(self) -> bool:
        return self._stop_at is not None

    @property
    def overdue(self) -> bool:
        """Whether it was asked `GRACE` seconds ago: what can be given back is given back."""
        return self._stop_at is not None and time.monotonic() - self._stop_at > GRACE

    def wait(self, seconds: float, *others: int) -> None:
        """Wait so long, or until asked to stop, or until one of the `others` (fds) is readable."""
        ready = select.poll()  # not select(), which fails at the 1,024th descriptor
        for descriptor in (self._reader, *others):
            ready.register(descriptor, select.POLLIN)
        ready.poll(math.ceil(max(0.0, seconds) * 1000))
