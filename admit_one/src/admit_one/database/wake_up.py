"""One process wakes another through the database that both use.

PostgreSQL has NOTIFY and LISTEN; an SQLite database gets a named pipe beside its file. Behind a
pooler that gives each transaction another session nobody can be woken, unless DATABASES has an
entry for listening that leads past the pooler.
A wake-up may be lost, so listeners also look at their rows at regular intervals.
"""

from __future__ import annotations

import errno
import os
import select
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, connections

from admit_one.environment import LISTEN
from admit_one.logs import EventLogger
from admit_one.masking import mask

from . import outage, session

logger = EventLogger(__name__)

PROOF = 3.0
"""Seconds that a listener's own wake-up may take to arrive."""

AGAIN = 30.0
"""Seconds until a listener that failed is tried again."""


def notify(channel: str) -> None:
    """Wake the listeners on `channel`, if any. Never blocks. Raises a database error."""
    if connection.vendor != "postgresql":
        _write_to_pipe(channel)
        return
    with connection.cursor() as cursor:
        # The transaction of a notification has nothing to keep, so do not wait for the disk.
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'off', true), pg_notify(%s, '')", [channel]
        )


class Listener(Protocol):
    """A file descriptor that becomes readable when its channel is notified."""

    def fileno(self) -> int: ...

    def clear(self) -> None:
        """Discard the wake-ups so far; call it before looking at the rows."""

    def close(self) -> None: ...


def listener(channel: str) -> Listener:
    """A listener on `channel`, to be closed. Raises a database error."""
    if connection.vendor != "postgresql":
        return _Pipe(channel)
    if LISTEN in connections.settings:
        return _PastThePooler(channel)
    return _Nobody() if session.pooled_by_transaction else _Session(channel, DEFAULT_DB_ALIAS)


class _Pipe:
    def __init__(self, channel: str) -> None:
        path = pipe(channel)
        with suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        # For writing too: otherwise it reads as ended whenever it has no writer.
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def fileno(self) -> int:
        return self._fd

    def clear(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._fd, 4096)

    def close(self) -> None:
        os.close(self._fd)


class _Session:
    """A session of the server. What it raises are database errors."""

    def __init__(self, channel: str, alias: str) -> None:
        self._database: Any = connections.create_connection(alias)
        try:
            with self._database.cursor() as cursor:
                cursor.execute(f"LISTEN {channel}")
            self._fd = int(self._database.connection.fileno())
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        return self._fd

    def clear(self) -> None:
        with self._database.wrap_database_errors:
            for _ in self._database.connection.notifies(timeout=0):
                pass

    def close(self) -> None:
        self._database.close()


class _Nobody:
    """Is never woken."""

    def __init__(self) -> None:
        self._fd, self._other_end = os.pipe()

    def fileno(self) -> int:
        return self._fd

    def clear(self) -> None: ...

    def close(self) -> None:
        os.close(self._fd)
        os.close(self._other_end)


class _PastThePooler:
    """A session by the entry for listening. While there is none, nobody is woken: that is slower,
    and no reason not to work.
    """

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._session: _Session | None = None
        self._nobody = _Nobody()
        self._not_before = 0.0
        self.clear()

    def fileno(self) -> int:
        return (self._session or self._nobody).fileno()

    def clear(self) -> None:
        if self._session is None and time.monotonic() < self._not_before:
            return
        try:
            if self._session is None:
                self._session = _proved(self._channel)
            self._session.clear()
        except outage.DATABASE_ERRORS as error:
            self._drop()
            self._not_before = time.monotonic() + AGAIN
            logger.warning(
                "nothing_heard",
                "LISTEN_DATABASE_URL: {error}; the relay looks for events by its clock, and tries "
                "to listen again in {pause:.0f} s",
                error=mask(str(error)).strip(),
                pause=AGAIN,
            )

    def close(self) -> None:
        self._drop()
        self._nobody.close()

    def _drop(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


def _proved(channel: str) -> _Session:
    """A session that has heard what our own connection sent. Raises a database error."""
    listening = _Session(channel, LISTEN)
    notify(channel)
    heard, _, _ = select.select([listening], [], [], PROOF)
    if not heard:
        listening.close()
        raise DatabaseError(
            "expected the server and database of DATABASE_URL, not through a pooler in transaction "
            f"mode, but no wake-up arrived within {PROOF:.0f} s"
        )
    return listening


def pipe(channel: str) -> Path:
    """The named pipe of `channel` beside an SQLite database."""
    return Path(f"{connection.settings_dict['NAME']}.{channel}-wake")


def _write_to_pipe(channel: str) -> None:
    try:
        fd = os.open(pipe(channel), os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in {errno.ENXIO, errno.ENOENT}:  # nobody listens
            return
        raise
    try:
        with suppress(BlockingIOError):  # full: the listener is being woken already
            os.write(fd, b"\0")
    finally:
        os.close(fd)
