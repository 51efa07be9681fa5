"""How long a task goes on: none blocks the worker for long, and none outlasts it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

RUN_SECONDS = 30.0
"""A task ends after this, and another run goes on."""

stopping = threading.Event()
"""Set once the worker was asked to stop: a task finishes what it has in hand and returns."""


def for_a_run(seconds: float | None = None) -> Callable[[], bool]:
    """True until the run's `seconds` are up or the worker is asked to stop."""
    end = time.monotonic() + (RUN_SECONDS if seconds is None else seconds)
    return lambda: time.monotonic() < end and not stopping.is_set()
