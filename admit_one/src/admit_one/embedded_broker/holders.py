"""Connections as rows of the file: they hold consumers and messages, until they close or die."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable

from .entities import drop_queue, mark_used
from .lock import LockFile
from .messages import Messages


def register(db: sqlite3.Connection, lock_file: LockFile) -> int:
    """The number of a new connection. Its byte is locked before others can see the row."""
    (holder,) = db.execute("INSERT INTO holder DEFAULT VALUES RETURNING id").fetchone()
    lock_file.enter(holder)
    return int(holder)


def find_dead(db: sqlite3.Connection, lock_file: LockFile) -> list[int]:
    """The holders whose process ended without closing its connection."""
    holders = db.execute("SELECT id FROM holder").fetchall()
    return [holder for (holder,) in holders if lock_file.is_dead(holder)]


def remove_holder(db: sqlite3.Connection, messages: Messages, holder: int) -> list[int]:
    """Requeue all it held and delete its own queues; returns the holders of their consumers."""
    owned = db.execute("SELECT id FROM queue WHERE owner = ?", (holder,)).fetchall()
    lost = [other for (queue,) in owned for other in drop_queue(db, queue)]
    messages.requeue_all(holder)
    remove_consumers(db, find_consumers(db, holder))
    db.execute("DELETE FROM holder WHERE id = ?", (holder,))
    return lost


def remove_consumers(db: sqlite3.Connection, consumers: Iterable[int]) -> None:
    """Delete these consumers, and each auto-delete queue with its last one."""
    for consumer in consumers:
        rows = db.execute(
            "DELETE FROM consumer WHERE id = ? RETURNING queue", (consumer,)
        ).fetchall()
        for (queue,) in rows:
            mark_used(db, queue)
            if db.execute(
                "SELECT 1 FROM queue WHERE id = ? AND auto_delete AND NOT EXISTS"
                " (SELECT 1 FROM consumer WHERE queue = ?)",
                (queue, queue),
            ).fetchone():
                drop_queue(db, queue)


def find_unused_queues(db: sqlite3.Connection) -> list[int]:
    """Queues that have been unused for longer than their `x-expires`."""
    rows = db.execute(
        "SELECT id FROM queue WHERE used_at + expires / 1000 <= ? AND NOT EXISTS"
        " (SELECT 1 FROM consumer WHERE consumer.queue = queue.id)",
        (time.time(),),
    ).fetchall()
    return [queue for (queue,) in rows]


def drop_unused_queues(db: sqlite3.Connection) -> list[int]:
    """Delete the unused queues; returns the holders of their consumers."""
    return [holder for queue in find_unused_queues(db) for holder in drop_queue(db, queue)]


def add_consumer(db: sqlite3.Connection, queue: int, holder: int) -> int:
    """Insert a consumer; returns its number."""
    (number,) = db.execute(
        "INSERT INTO consumer (queue, holder) VALUES (?, ?) RETURNING id", (queue, holder)
    ).fetchone()
    return int(number)


def find_consumers(db: sqlite3.Connection, holder: int) -> set[int]:
    """The consumers that this holder still has; deleting a queue deletes its consumers."""
    rows = db.execute("SELECT id FROM consumer WHERE holder = ?", (holder,)).fetchall()
    return {consumer for (consumer,) in rows}


def find_consuming(db: sqlite3.Connection, queues: Iterable[int]) -> set[int]:
    """The holders that consume from one of these queues."""
    rows = db.execute(
        "SELECT DISTINCT holder FROM consumer WHERE queue IN (SELECT value FROM json_each(?))",
        (json.dumps(list(queues)),),
    ).fetchall()
    return {holder for (holder,) in rows}
