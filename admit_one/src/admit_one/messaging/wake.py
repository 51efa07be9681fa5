"""The fast path: wake a process that waits for rows.

The row is the truth and every process looks at its rows anyway, so a wake-up may be lost.
It must never be in the way: it is sent after the commit (and after the ack, in a consumer),
to a Celery task seldom, it takes a second at most, and it never raises.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import local

from django.db import transaction
from django.utils.module_loading import import_string

from admit_one.database import wake_up
from admit_one.logs import EventLogger
from admit_one.masking import mask

from . import conf

logger = EventLogger(__name__)

PATIENCE = 0.2
"""Seconds between two wake-ups of a Celery task. The relay takes each one, in its own rhythm."""

COURTESY = 0.02
"""Seconds that a task waits for what a consumer's batch has also caused, the reply above all:
sending a task and doing it would take the processor from processes for which somebody waits."""

PAUSE = 30.0
"""Seconds without wake-ups after one has failed: the sweeps do the work meanwhile."""

RELAY = "relay"
"""The relay's name among those of the tasks."""

RELAY_CHANNEL = "outbox"


class _Requested(local):
    """Wake-ups that are not yet sent, and when each may be sent again."""

    def __init__(self) -> None:
        self.deferred = False
        self.waiting: dict[str, Callable[[], None]] = {}
        self.not_before: dict[str, float] = {}


_requested = _Requested()


def relay() -> None:
    """Wake this service's relay once the current transaction is committed."""
    _request(RELAY, lambda: wake_up.notify(RELAY_CHANNEL))


def task(name: str) -> None:
    """Send the Celery task `name`, without arguments, once the current transaction is committed.

    Without a Celery app (MESSAGING CELERY_APP) nothing is sent: the clock starts the work.
    """
    if not conf.current().CELERY_APP:
        return
    _request(name, lambda: _send_task(name))


@contextmanager
def deferred() -> Iterator[None]:
    """Hold wake-ups back until the block ends, so that an ack comes first; tasks a little longer.

    Whoever uses it calls `send_waiting` again when `next_in` has passed.
    """
    _requested.deferred = True
    try:
        yield
    finally:
        _requested.deferred = False
        send_waiting()


def _request(name: str, send: Callable[[], None]) -> None:
    def after_commit() -> None:
        if _requested.deferred and name != RELAY and name not in _requested.waiting:
            courteous = time.monotonic() + COURTESY
            _requested.not_before[name] = max(_requested.not_before.get(name, 0.0), courteous)
        _requested.waiting[name] = send
        if not _requested.deferred:
            send_waiting()

    transaction.on_commit(after_commit, robust=True)


def next_in() -> float:
    """Seconds until `send_waiting` has something to send; infinite if nothing waits to be sent."""
    if not _requested.waiting:
        return math.inf
    return max(
        0.0, min(_requested.not_before.get(n, 0.0) for n in _requested.waiting) - time.monotonic()
    )


def send_waiting() -> None:
    """Send the wake-ups whose time has come."""
    now = time.monotonic()
    due = [name for name in _requested.waiting if _requested.not_before.get(name, 0.0) <= now]
    # The relay first: its wake-up takes no time, and somebody waits for what it carries.
    for name in sorted(due, key=lambda name: name != RELAY):
        send = _requested.waiting.pop(name)
        _requested.not_before[name] = now if name == RELAY else now + PATIENCE
        try:
            send()
        except Exception as error:  # noqa: BLE001 (whatever it is, it must not undo the commit)
            _requested.not_before[name] = now + PAUSE
            logger.warning(
                "wake_up_failed",
                "wake-up of {wakes} failed, next in {pause:.0f} s: {error}",
                wakes=name,
                pause=PAUSE,
                error=mask(str(error)),
            )


def _send_task(name: str) -> None:
    # Imported when first needed: relay and web need no Celery.
    import_string(conf.current().CELERY_APP).send_task(name, retry=False)
