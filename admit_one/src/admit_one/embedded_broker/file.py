"""The broker's file: made privately, checked, and written in short transactions."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from amqp.exceptions import InvalidPath, RecoverableConnectionError

from .schema import APPLICATION, FORMAT, STATEMENTS

BUSY_SECONDS = 10.0

_creating = threading.Lock()


def open_broker_file(path: str) -> sqlite3.Connection:
    """Open the broker at the absolute `path`, creating it (mode 0600) if there is none.

    Raises `InvalidPath` if the path is relative, its folder is missing, or the file is something
    else, and `RecoverableConnectionError` if it stays locked for longer than `BUSY_SECONDS`.
    """
    if sqlite3.sqlite_version_info < (3, 35):
        raise InvalidPath(f"expected SQLite 3.35 or newer, got {sqlite3.sqlite_version}")
    if not path.startswith("/") or not Path(path).parent.is_dir():
        raise InvalidPath(f"expected sqlite:////absolute/path in a folder that exists, got {path}")
    with contextlib.ExitStack() as if_it_fails:
        try:
            _create(path)
            db = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            if_it_fails.callback(db.close)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA journal_size_limit = 67108864")
        except (OSError, sqlite3.Error) as error:
            if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                raise RecoverableConnectionError(
                    f"the broker file {path} is busy: {error}"
                ) from error
            raise InvalidPath(f"expected an embedded broker at {path}, got: {error}") from error
        with transaction(db, durable=True):
            _prepare(db, path)
        if_it_fails.pop_all()
    return db


def _create(path: str) -> None:
    """Close it before SQLite opens it: a later close would drop SQLite's own record locks."""
    with _creating, contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _prepare(db: sqlite3.Connection, path: str) -> None:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if (application, version) == (APPLICATION, FORMAT):
        return
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application == APPLICATION:
        raise InvalidPath(f"expected a broker file of format {FORMAT} at {path}, got {version}")
    if tables:
        raise InvalidPath(f"expected an embedded broker at {path}, got another SQLite database")
    for statement in STATEMENTS:
        db.execute(statement)
    # No holder's number is reused, even if the file is deleted and created again while an old
    # process still locks its byte of the same lock file.
    db.execute("INSERT INTO sqlite_sequence VALUES ('holder', ?)", (time.time_ns() // 1000,))
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute(f"PRAGMA user_version = {FORMAT}")


@contextlib.contextmanager
def transaction(db: sqlite3.Connection, *, durable: bool = False) -> Iterator[None]:
    """Write in one transaction; with `durable`, it survives a power cut.

    Claims and acks need not: after a power cut, their messages are delivered again.
    Raises `RecoverableConnectionError` if the file is locked too long, full or gone; then nothing
    was written.
    """
    with as_connection_error():
        db.execute("PRAGMA synchronous = FULL" if durable else "PRAGMA synchronous = NORMAL")
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


@contextlib.contextmanager
def as_connection_error() -> Iterator[None]:
    """Report an error of the file as a lost connection, which callers already handle."""
    try:
        yield
    except sqlite3.Error as error:
        raise RecoverableConnectionError(f"the embedded broker's file failed: {error}") from error
