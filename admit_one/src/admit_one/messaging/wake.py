"""The fast path: tell a waiting process that there are rows for it.

The row is the truth and every process looks at its rows anyway, so a wake-up may be lost.
It must never be in the way: it is sent after the commit (and after the ack, in a consumer),
to a Celery task seldom, it takes a second at most, and it never raises.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import local

from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.utils.module_loading import import_string

from admit_one.masking import mask

from . import conf

logger = logging.getLogger(__name__)

PATIENCE = 0.2
"""Seconds between two wake-ups of a Celery task. The relay takes each one, in its own rhythm."""

COURTESY = 0.02
"""Seconds that a task waits for what a consumer's batch has also caused, the reply above all:
sending a task and doing it would take the processor from processes for which somebody waits."""

PAUSE = 30.0
"""Seconds without wake-ups after one has failed: the sweeps do the work meanwhile."""

RELAY_CHANNEL = "outbox"


class _Asked(local):
    """What was asked for and not yet sent, and when each wake-up may be sent again."""

    def __init__(self) -> None:
        self.deferred = False
        self.waiting: dict[str, Callable[[], None]] = {}
        self.not_before: dict[str, float] = {}


_asked = _Asked()


def relay() -> None:
    """Wake this service's relay once the current transaction is committed."""
    _ask("relay", _wake_relay)


def task(name: str) -> None:
    """Send the Celery task `name`, without arguments, once the current transaction is committed."""
    _ask(name, lambda: _send_task(name))


@contextmanager
def deferred() -> Iterator[None]:
    """Hold wake-ups back until the block ends, so that an ack comes first; tasks a little longer.

    Whoever uses it calls `send_waiting` again when `next_in` has passed.
    """
    _asked.deferred = True
    try:
        yield
    finally:
        _asked.deferred = False
        send_waiting()


def _ask(name: str, send: Callable[[], None]) -> None:
    def after_commit() -> None:
        if _asked.deferred and name != "relay" and name not in _asked.waiting:
            courteous = time.monotonic() + COURTESY
            _asked.not_before[name] = max(_asked.not_before.get(name, 0.0), courteous)
        _asked.waiting[name] = send
        if not _asked.deferred:
            send_waiting()

    transaction.on_commit(after_commit, robust=True)


def next_in() -> float:
    """Seconds until `send_waiting` has something to send; infinite if nothing was asked for."""
    if not _asked.waiting:
        return math.inf
    return max(0.0, min(_asked.not_before.get(n, 0.0) for n in _asked.waiting) - time.monotonic())


def send_waiting() -> None:
    """Send what was asked for, as far as its time has come."""
    now = time.monotonic()
    due = [name for name in _asked.waiting if _asked.not_before.get(name, 0.0) <= now]
    # The relay first: its wake-up takes no time, and somebody waits for what it carries.
    for name in sorted(due, key=lambda name: name != "relay"):
        send = _asked.waiting.pop(name)
        _asked.not_before[name] = now if name == "relay" else now + PATIENCE
        try:
            send()
        except Exception as error:  # noqa: BLE001 (whatever it is, it must not undo the commit)
            _asked.not_before[name] = now + PAUSE
            logger.warning(
                "wake-up of %s failed, next in %.0f s: %s", name, PAUSE, mask(str(error))
            )


def _send_task(name: str) -> None:
    # Imported when first needed: relay and web need no Celery.
    app = import_string(f"{conf.current().SERVICE}.celery.app")
    app.send_task(name, retry=False)


class Listener:
    """The relay's end: a file descriptor that becomes readable when there may be rows."""

    def __init__(self) -> None:
        if connection.vendor == "postgresql":
            self._session = connections.create_connection(DEFAULT_DB_ALIAS)
            with self._session.cursor() as cursor:
                cursor.execute(f"LISTEN {RELAY_CHANNEL}")
            self._fd = int(self._session.connection.fileno())
        else:
            path = relay_fifo()
            with suppress(FileExistsError):
                os.mkfifo(path, 0o600)
            # Open for writing too, else it would read as ended whenever nobody writes.
            self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def fileno(self) -> int:
        return self._fd

    def clear(self) -> None:
        """Forget the wake-ups so far: call it before looking at the rows."""
        if connection.vendor == "postgresql":
            with self._session.wrap_database_errors:
                for _ in self._session.connection.notifies(timeout=0):
                    pass
        else:
            with suppress(BlockingIOError):
                os.read(self._fd, 4096)

    def close(self) -> None:
        if connection.vendor == "postgresql":
            self._session.close()
        else:
            os.close(self._fd)


def _wake_relay() -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # A notification is a transaction of its own, and there is nothing in it to be kept:
            # without this it would wait for the disk once more, with somebody waiting for it.
            cursor.execute(
                "SELECT set_config('synchronous_commit', 'off', true), pg_notify(%s, '')",
                [RELAY_CHANNEL],
            )
        return
    try:
        fifo = os.open(relay_fifo(), os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in {errno.ENXIO, errno.ENOENT}:  # no relay is running
            return
        raise
    try:
        with suppress(BlockingIOError):  # full: it is being woken already
            os.write(fifo, b"\0")
    finally:
        os.close(fifo)


def relay_fifo() -> Path:
    """The named pipe beside an SQLite database on which its relay waits."""
    return Path(f"{connection.settings_dict['NAME']}.outbox-wake")
