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

APPLICATION = 0x41444D31
"""Marks the file as a broker of ours ("ADM1"), in SQLite's own header."""

FORMAT = 1
BUSY_SECONDS = 10.0

SCHEMA = """
CREATE TABLE exchange (
    name TEXT PRIMARY KEY, type TEXT NOT NULL, durable INTEGER NOT NULL,
    auto_delete INTEGER NOT NULL, arguments TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE queue (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, durable INTEGER NOT NULL,
    auto_delete INTEGER NOT NULL, owner INTEGER, arguments TEXT NOT NULL,
    used_at REAL NOT NULL, expires REAL
);
CREATE TABLE binding (
    exchange TEXT NOT NULL, routing_key TEXT NOT NULL, queue INTEGER NOT NULL,
    PRIMARY KEY (exchange, routing_key, queue)
) WITHOUT ROWID;
CREATE TABLE holder (id INTEGER PRIMARY KEY AUTOINCREMENT);
CREATE TABLE consumer (id INTEGER PRIMARY KEY AUTOINCREMENT, queue INTEGER NOT NULL, holder INTEGER NOT NULL);
-- holder 0: ready; above: delivered to that holder; below: dead, waiting for a way out.
CREATE TABLE message (
    id INTEGER PRIMARY KEY, queue INTEGER NOT NULL, holder INTEGER NOT NULL DEFAULT 0,
    deliveries INTEGER NOT NULL DEFAULT 0, expires_at REAL, exchange TEXT NOT NULL,
    routing_key TEXT NOT NULL, properties BLOB NOT NULL, body BLOB NOT NULL
);
CREATE INDEX message_by_queue ON message (queue, holder, id);
CREATE INDEX message_by_expiry ON message (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE topology (version INTEGER NOT NULL);
INSERT INTO topology VALUES (1);
"""

NEWS = "".join(
    f"CREATE TRIGGER {table}_{event} AFTER {event} ON {table} "
    "BEGIN UPDATE topology SET version = version + 1; END;\n"
    for table in ("exchange", "queue", "binding")
    for event in ("INSERT", "DELETE")
)
"""Routes are cached in every process until this version changes."""

_creating = threading.Lock()


def open_broker_file(path: str) -> sqlite3.Connection:
    """Open the broker at the absolute `path`, making it (mode 0600) if there is none.

    InvalidPath: the path is relative, its folder does not exist, or the file is something else.
    RecoverableConnectionError: the file is locked for longer than ten seconds.
    """
    if sqlite3.sqlite_version_info < (3, 35):
        raise InvalidPath(
            f"the embedded broker expected SQLite 3.35+, got {sqlite3.sqlite_version}"
        )
    if not path.startswith("/") or not Path(path).parent.is_dir():
        raise InvalidPath(
            f"expected sqlite:////absolute/path in a folder that exists, got {path!r}"
        )
    with _creating, contextlib.suppress(FileExistsError):
        # Closed before SQLite opens it: a later close would drop SQLite's own record locks.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        db = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA journal_size_limit = 67108864")
    except sqlite3.Error as error:
        if error.sqlite_errorname.startswith("SQLITE_BUSY"):
            raise RecoverableConnectionError(f"the broker file {path} is busy: {error}") from error
        raise InvalidPath(f"expected an embedded broker at {path}, got: {error}") from error
    _prepare(db, path)
    return db


def _prepare(db: sqlite3.Connection, path: str) -> None:
    with transaction(db, durable=True):
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if (application, version) == (APPLICATION, FORMAT):
            return
        (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if application == APPLICATION:
            raise InvalidPath(f"expected a broker file of format {FORMAT} at {path}, got {version}")
        if tables:
            raise InvalidPath(f"expected an embedded broker at {path}, got another SQLite database")
        for statement in (SCHEMA + NEWS).split(";\n"):
            db.execute(statement)
        # Holders are never numbered twice, not even when a file is deleted and made anew while
        # an old process still locks its byte of the same lock file.
        db.execute("INSERT INTO sqlite_sequence VALUES ('holder', ?)", (time.time_ns() // 1000,))
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute(f"PRAGMA user_version = {FORMAT}")


@contextlib.contextmanager
def transaction(db: sqlite3.Connection, *, durable: bool = False) -> Iterator[None]:
    """Write in one transaction; `durable` waits until it would survive a power cut.

    What is only claimed or acknowledged need not: after a power cut it is delivered again.
    RecoverableConnectionError: the file is locked too long, full or gone; nothing was written.
    """
    try:
        db.execute("PRAGMA synchronous = FULL" if durable else "PRAGMA synchronous = NORMAL")
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")
    except sqlite3.Error as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise RecoverableConnectionError(f"the embedded broker cannot write: {error}") from error
