"""The fast path: wake a process that waits for rows.

Every process also looks at its rows at regular intervals, so a wake-up may be lost.
Sending it must never do harm: it comes after the commit (in a consumer, after the ack), is limited
for Celery tasks, takes a second at most, and never raises.
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
from .wake_thread import WakeThread

logger = EventLogger(__name__)

TASK_INTERVAL = 0.2
"""Seconds between two wake-ups of a Celery task. Those of the relay are not limited."""

TASK_DELAY = 0.02
"""Seconds by which a consumer delays a task, so that it does not compete for the processor with the
reply, for which somebody waits."""

PAUSE = 30.0
"""Seconds without wake-ups of a task after one has failed; meanwhile, sweeps find the rows.

It ends with the first sign that the broker is back: another wake-up that arrives, or `try_again`.
"""

RELAY_PAUSE = 1.0
"""The same for the relay, whose wake-ups go through the database: work goes on with its return."""

AT_ONCE = 0.5
"""Seconds within which a send fails over a connection that has died meanwhile.

A silent broker takes longer, and is not asked twice.
"""

RELAY = "relay"
"""The relay's name beside those of the tasks."""

RELAY_CHANNEL = "outbox"


class _Requested(local):
    """Wake-ups that are not yet sent, and when each may be sent again."""

    def __init__(self) -> None:
        self.deferred = False
        self.waiting: dict[str, Callable[[], None]] = {}
        self.not_before: dict[str, float] = {}
        self.failed: set[str] = set()


_requested = _Requested()


def relay() -> None:
    """Wake this service's relay once the current transaction is committed."""
    if relay_thread.is_running():
        transaction.on_commit(relay_thread.ring, robust=True)
    else:
        _request(RELAY, _notify_relay)


def _notify_relay() -> None:
    wake_up.notify(RELAY_CHANNEL)


def task(name: str) -> None:
    """Send the Celery task `name`, without arguments, once the current transaction is committed.

    Without a Celery app (MESSAGING CELERY_APP) nothing is sent.
    """
    if not conf.current().CELERY_APP:
        return
    _request(name, lambda: _send_task(name))


def task_now(name: str) -> None:
    """The same at once, in a thread without transactions: it needs no database connection."""
    if conf.current().CELERY_APP:
        _requested.waiting[name] = lambda: _send_task(name)
        send_waiting()


@contextmanager
def deferred() -> Iterator[None]:
    """Defer wake-ups until the block ends, so that an ack comes first; tasks a little longer.

    The caller must call `send_waiting` again after `next_in` seconds.
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
            delayed = time.monotonic() + TASK_DELAY
            _requested.not_before[name] = max(_requested.not_before.get(name, 0.0), delayed)
        _requested.waiting[name] = send
        if not _requested.deferred:
            send_waiting()

    transaction.on_commit(after_commit, robust=True)


def next_in() -> float:
    """Seconds until `send_waiting` has something to send; infinite if nothing waits."""
    if not _requested.waiting:
        return math.inf
    return max(
        0.0, min(_requested.not_before.get(n, 0.0) for n in _requested.waiting) - time.monotonic()
    )


def try_again() -> None:
    """End the pause after failed wake-ups: the broker is back."""
    for name in _requested.failed:
        _requested.not_before.pop(name, None)
    _requested.failed.clear()


def send_waiting() -> None:
    """Send the wake-ups whose time has come."""
    now = time.monotonic()
    due = [name for name in _requested.waiting if _requested.not_before.get(name, 0.0) <= now]
    # The relay first: its wake-up takes no time, and somebody waits for what it publishes.
    for name in sorted(due, key=lambda name: name != RELAY):
        send = _requested.waiting.pop(name)
        _requested.not_before[name] = now if name == RELAY else now + TASK_INTERVAL
        try:
            _send(send)
        except Exception as error:  # noqa: BLE001 (the commit has been made)
            pause = RELAY_PAUSE if name == RELAY else PAUSE
            _requested.not_before[name] = now + pause
            _requested.failed.add(name)
            logger.warning(
                "wake_up_failed",
                "wake-up of {wakes} failed, next attempt in {pause:.0f} s: {error}",
                wakes=name,
                pause=pause,
                error=mask(str(error)),
            )
        else:
            if name != RELAY:  # that one goes through the database
                try_again()


relay_thread = WakeThread(_notify_relay)
"""Wakes the relay in place of the thread that commits, once it is started: in web processes."""


def _send(send: Callable[[], None]) -> None:
    """Send it, over a new connection if the one of the last wake-up has died since."""
    began = time.monotonic()
    try:
        send()
    except Exception:
        if time.monotonic() - began > AT_ONCE:
            raise
        send()


def _send_task(name: str) -> None:
    # Imported when first needed: relay and web need no Celery.
    import_string(conf.current().CELERY_APP).send_task(name, retry=False)
