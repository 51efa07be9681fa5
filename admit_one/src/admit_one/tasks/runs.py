"""Limits how long a task runs: none blocks the worker for long, and none outlives it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

RUN_SECONDS = 30.0
"""A task returns after this; another run continues."""

stopping = threading.Event()
"""Set once the worker was asked to stop: a task finishes its current row and returns."""


def for_a_run(seconds: float | None = None) -> Callable[[], bool]:
    """A function that is true until `seconds` have passed or the worker is asked to stop."""
    end = time.monotonic() + (RUN_SECONDS if seconds is None else seconds)
    return lambda: time.monotonic() < end and not stopping.is_set()


def in_batches(work: Callable[[], object]) -> None:
    """Repeat `work` until it finds nothing more to do, or the run is over.

    What is left then is done by the next run.
    """
    go_on = for_a_run()
    while go_on() and work():
        pass
