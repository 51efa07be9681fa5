"""Exchanges, queues and bindings, declared or refused as RabbitMQ would."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amqp.exceptions import (
    AccessRefused,
    AMQPNotImplementedError,
    NotFound,
    PreconditionFailed,
    ResourceLocked,
)

from . import queue_arguments

EXCHANGE_TYPES = ("direct", "fanout", "topic")

BUILT_IN = {"": "direct", "amq.direct": "direct", "amq.fanout": "fanout", "amq.topic": "topic"}
"""The exchanges that are always there, and their types; the first is the default exchange."""

RESERVED = "amq."


@dataclass(frozen=True)
class Queue:
    """A row of the queue table."""

    id: int
    name: str
    arguments: Mapping[str, Any]

    @property
    def is_quorum(self) -> bool:
        """Whether messages show their delivery count, as only quorum queues do in RabbitMQ."""
        return bool(self.arguments.get("x-queue-type") == "quorum")


def declare_exchange(
    db: sqlite3.Connection, name: str, kind: str, arguments: Mapping[str, Any], **flags: bool
) -> None:
    """Raises `PreconditionFailed` if it differs, `AMQPNotImplementedError` for another type."""
    if kind not in EXCHANGE_TYPES:
        raise AMQPNotImplementedError(
            f"expected an exchange of type {', '.join(EXCHANGE_TYPES)}, got {kind!r} for {name!r}: "
            "the embedded broker supports no others"
        )
    if arguments:
        raise AMQPNotImplementedError(
            f"expected exchange '{name}' without arguments, got {', '.join(sorted(arguments))}: "
            "the embedded broker supports none"
        )
    if not name:
        raise AccessRefused("ACCESS_REFUSED - operation not permitted on the default exchange")
    wanted = (flags["durable"], flags["auto_delete"], json.dumps(dict(arguments)))
    if name in BUILT_IN:
        built_in = {"type": BUILT_IN[name], "durable": True, "auto_delete": False}
        _refuse_other(f"exchange '{name}'", {"type": kind, **_declared(*wanted)}, built_in)
        return
    if name.startswith(RESERVED):
        raise _reserved("exchange", name)
    row = db.execute(
        "SELECT type, durable, auto_delete, arguments FROM exchange WHERE name = ?", (name,)
    ).fetchone()
    if row is None:
        db.execute(
            "INSERT INTO exchange (name, type, durable, auto_delete, arguments) VALUES (?,?,?,?,?)",
            (name, kind, *wanted),
        )
        return
    current = {"type": row[0], **_declared(*row[1:])}
    _refuse_other(f"exchange '{name}'", {"type": kind, **_declared(*wanted)}, current)


def find_exchange(db: sqlite3.Connection, name: str) -> str:
    """The exchange's type. Raises `NotFound`."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    kind = db.execute("SELECT type FROM exchange WHERE name = ?", (name,)).fetchone()
    if kind is None:
        raise NotFound(f"NOT_FOUND - no exchange '{name}' in vhost '/'")
    return str(kind[0])


def delete_exchange(db: sqlite3.Connection, name: str, *, if_unused: bool) -> None:
    """Raises `PreconditionFailed` if it is in use in spite of `if_unused`."""
    if name in BUILT_IN or name.startswith(RESERVED):
        raise _reserved("exchange", name)
    if if_unused and db.execute("SELECT 1 FROM binding WHERE exchange = ?", (name,)).fetchone():
        raise PreconditionFailed(f"PRECONDITION_FAILED - exchange '{name}' in vhost '/' in use")
    db.execute("DELETE FROM binding WHERE exchange = ?", (name,))
    db.execute("DELETE FROM exchange WHERE name = ?", (name,))


def declare_queue(
    db: sqlite3.Connection,
    name: str,
    arguments: Mapping[str, Any],
    *,
    durable: bool,
    auto_delete: bool,
    owner: int | None,
    holder: int,
) -> Queue:
    """Declare the queue. Raises `PreconditionFailed` and `ResourceLocked` as RabbitMQ does."""
    queue_arguments.check(
        name, arguments, durable=durable, auto_delete=auto_delete, exclusive=owner is not None
    )
    is_ours = not name
    name = name or f"{RESERVED}gen-{uuid.uuid4().hex}"
    wanted = (durable, auto_delete, json.dumps(dict(arguments)))
    row = db.execute(
        "SELECT durable, auto_delete, arguments FROM queue WHERE name = ?", (name,)
    ).fetchone()
    if row is None:
        if name.startswith(RESERVED) and not is_ours:
            raise _reserved("queue", name)
        db.execute(
            "INSERT INTO queue (name, durable, auto_delete, arguments, owner, used_at, expires) "
            "VALUES (?,?,?,?,?,?,?)",
            (name, *wanted, owner, time.time(), arguments.get("x-expires")),
        )
        return find_queue(db, name, holder)
    queue = find_queue(db, name, holder)
    _refuse_other(f"queue '{name}'", _declared(*wanted), _declared(*row))
    return queue


def mark_used(db: sqlite3.Connection, queue: int) -> None:
    """Restart the time after which the queue expires if it is unused."""
    db.execute("UPDATE queue SET used_at = ? WHERE id = ?", (time.time(), queue))


def find_queue(db: sqlite3.Connection, name: str, holder: int) -> Queue:
    """Raises `NotFound`, or `ResourceLocked` if it is exclusive to another connection."""
    row = db.execute("SELECT id, owner, arguments FROM queue WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise NotFound(f"NOT_FOUND - no queue '{name}' in vhost '/'")
    if row[1] not in (None, holder):
        raise ResourceLocked(
            f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{name}'"
        )
    return Queue(row[0], name, json.loads(row[2]))


def count(db: sqlite3.Connection, queue: Queue) -> tuple[int, int]:
    """How many messages are ready in the queue, and how many consumers it has."""
    (messages,) = db.execute(
        "SELECT count(*) FROM message WHERE queue = ? AND holder = 0", (queue.id,)
    ).fetchone()
    (consumers,) = db.execute(
        "SELECT count(*) FROM consumer WHERE queue = ?", (queue.id,)
    ).fetchone()
    return messages, consumers


def bind(db: sqlite3.Connection, queue: Queue, exchange: str, routing_key: str) -> None:
    """Raises `NotFound`, or `AccessRefused` for the default exchange, which takes no bindings."""
    if not exchange:
        raise AccessRefused("ACCESS_REFUSED - operation not permitted on the default exchange")
    find_exchange(db, exchange)
    db.execute("INSERT OR IGNORE INTO binding VALUES (?, ?, ?)", (exchange, routing_key, queue.id))


def unbind(db: sqlite3.Connection, queue: str, exchange: str, routing_key: str) -> None:
    """Delete the binding, if there is one."""
    db.execute(
        "DELETE FROM binding WHERE exchange = ? AND routing_key = ?"
        " AND queue = (SELECT id FROM queue WHERE name = ?)",
        (exchange, routing_key, queue),
    )


def purge(db: sqlite3.Connection, queue: Queue) -> int:
    """Delete the ready messages; returns how many."""
    return db.execute("DELETE FROM message WHERE queue = ? AND holder = 0", (queue.id,)).rowcount


def drop_queue(db: sqlite3.Connection, queue: int) -> list[int]:
    """Delete a queue with its bindings and messages; returns the holders of its consumers."""
    holders = [
        holder
        for (holder,) in db.execute(
            "DELETE FROM consumer WHERE queue = ? RETURNING holder", (queue,)
        )
    ]
    for statement in (
        "DELETE FROM binding WHERE queue = ?",
        "DELETE FROM message WHERE queue = ?",
        "DELETE FROM queue WHERE id = ?",
    ):
        db.execute(statement, (queue,))
    return holders


def _reserved(kind: str, name: str) -> AccessRefused:
    return AccessRefused(
        f"ACCESS_REFUSED - {kind} name '{name}' contains reserved prefix '{RESERVED}*'"
    )


def _declared(durable: int, auto_delete: int, arguments: str) -> dict[str, Any]:
    """The properties that a second declaration must repeat."""
    return {"durable": bool(durable), "auto_delete": bool(auto_delete), **json.loads(arguments)}


def _refuse_other(what: str, wanted: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    for key in sorted(wanted.keys() | current.keys()):
        if wanted.get(key) != current.get(key):
            raise PreconditionFailed(
                f"PRECONDITION_FAILED - inequivalent arg '{key}' for {what} in vhost '/': "
                f"received {wanted.get(key)!r} but current is {current.get(key)!r}"
            )
