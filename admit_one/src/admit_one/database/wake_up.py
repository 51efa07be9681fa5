"""One process wakes another through the database that both use.

PostgreSQL has NOTIFY and LISTEN for it; beside an SQLite database lies a named pipe.
A wake-up may be lost, so whoever listens also looks at the rows by the clock.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from django.db import DEFAULT_DB_ALIAS, connection, connections


def notify(channel: str) -> None:
    """Wake those who listen on `channel`; nobody may. Never waits. Raises a database error."""
    if connection.vendor == "postgresql":
        _notify(channel)
    else:
        _write_to_pipe(channel)


class Listener:
    """A file descriptor that becomes readable when `channel` is notified."""

    def __init__(self, channel: str) -> None:
        if connection.vendor == "postgresql":
            self._session = connections.create_connection(DEFAULT_DB_ALIAS)
            with self._session.cursor() as cursor:
                cursor.execute(f"LISTEN {channel}")
            self._fd = int(self._session.connection.fileno())
        else:
            path = pipe(channel)
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


def pipe(channel: str) -> Path:
    """The named pipe of `channel` beside an SQLite database."""
    return Path(f"{connection.settings_dict['NAME']}.{channel}-wake")


def _notify(channel: str) -> None:
    with connection.cursor() as cursor:
        # A notification is a transaction of its own, and there is nothing in it to be kept:
        # without this it would wait for the disk once more, with somebody waiting for it.
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'off', true), pg_notify(%s, '')", [channel]
        )


def _write_to_pipe(channel: str) -> None:
    try:
        fd = os.open(pipe(channel), os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in {errno.ENXIO, errno.ENOENT}:  # nobody listens
            return
        raise
    try:
        with suppress(BlockingIOError):  # full: whoever listens is being woken already
            os.write(fd, b"\0")
    finally:
        os.close(fd)
