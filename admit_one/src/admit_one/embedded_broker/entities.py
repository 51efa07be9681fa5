"""Exchanges, queues and bindings: declared as RabbitMQ would, or refused as RabbitMQ would."""

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

EXCHANGE_TYPES = ("direct", "fanout", "topic")

QUEUE_ARGUMENTS = frozenset(
    {
        "x-queue-type",
        "x-delivery-limit",
        "x-dead-letter-exchange",
        "x-dead-letter-routing-key",
        "x-dead-letter-strategy",
        "x-overflow",
        "x-max-length",
        "x-message-ttl",
        "x-expires",
    }
)
"""What the embedded broker keeps its word on. Anything else is refused, not ignored."""


@dataclass(frozen=True)
class Queue:
    """A queue as the file knows it."""

    id: int
    name: str
    arguments: Mapping[str, Any]

    @property
    def is_quorum(self) -> bool:
        """Whether deliveries are counted, as RabbitMQ does for quorum queues only."""
        return bool(self.arguments.get("x-queue-type") == "quorum")


def declare_exchange(
    db: sqlite3.Connection, name: str, kind: str, arguments: Mapping[str, Any], **flags: bool
) -> None:
    """PreconditionFailed: the exchange is there, but otherwise. 540: not a type we have."""
    if kind not in EXCHANGE_TYPES:
        raise AMQPNotImplementedError(
            f"expected an exchange of type {', '.join(EXCHANGE_TYPES)}, got {kind!r} for {name!r}: "
            "the embedded broker has no other"
        )
    wanted = {"type": kind, **flags, "arguments": dict(arguments)}
    row = db.execute(
        "SELECT type, durable, auto_delete, arguments FROM exchange WHERE name = ?", (name,)
    ).fetchone()
    if row is None:
        db.execute(
            "INSERT INTO exchange (name, type, durable, auto_delete, arguments) VALUES (?,?,?,?,?)",
            (name, kind, flags["durable"], flags["auto_delete"], json.dumps(dict(arguments))),
        )
        return
    current = {
        "type": row[0],
        "durable": bool(row[1]),
        "auto_delete": bool(row[2]),
        "arguments": json.loads(row[3]),
    }
    _refuse_other(f"exchange '{name}'", wanted, current)


def find_exchange(db: sqlite3.Connection, name: str) -> None:
    """NotFound: there is no such exchange."""
    if name and not db.execute("SELECT 1 FROM exchange WHERE name = ?", (name,)).fetchone():
        raise NotFound(f"NOT_FOUND - no exchange '{name}' in vhost '/'")


def delete_exchange(db: sqlite3.Connection, name: str, *, if_unused: bool) -> None:
    """PreconditionFailed: it is in use and should not be."""
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
    """Declare the queue, or find it equal. PreconditionFailed, ResourceLocked: as RabbitMQ."""
    name = name or f"amq.gen-{uuid.uuid4().hex}"
    row = db.execute(
        "SELECT durable, auto_delete, arguments FROM queue WHERE name = ?", (name,)
    ).fetchone()
    if row is None:
        _check_arguments(name, arguments)
        db.execute(
            "INSERT INTO queue (name, durable, auto_delete, owner, arguments, used_at, expires) "
            "VALUES (?,?,?,?,?,?,?)",
            (
                *(name, durable, auto_delete, owner, json.dumps(dict(arguments))),
                *(time.time(), arguments.get("x-expires")),
            ),
        )
        return find_queue(db, name, holder)
    queue = find_queue(db, name, holder)
    _refuse_other(
        f"queue '{name}'",
        {"durable": durable, "auto_delete": auto_delete, "arguments": dict(arguments)},
        {
            "durable": bool(row[0]),
            "auto_delete": bool(row[1]),
            "arguments": dict(queue.arguments),
        },
    )
    return queue


def mark_used(db: sqlite3.Connection, queue: int) -> None:
    """An unused queue's time to live starts again."""
    db.execute("UPDATE queue SET used_at = ? WHERE id = ?", (time.time(), queue))


def exists(db: sqlite3.Connection, name: str) -> bool:
    """Whether there is a queue of that name."""
    return db.execute("SELECT 1 FROM queue WHERE name = ?", (name,)).fetchone() is not None


def find_queue(db: sqlite3.Connection, name: str, holder: int) -> Queue:
    """NotFound: there is none. ResourceLocked: it is exclusive to another connection."""
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
    """NotFound: no such exchange. AccessRefused: the default exchange binds by itself."""
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
    """Delete what is ready; how many messages that were."""
    return db.execute("DELETE FROM message WHERE queue = ? AND holder = 0", (queue.id,)).rowcount


def drop_queue(db: sqlite3.Connection, queue: int) -> list[int]:
    """Delete a queue and all that hangs on it; the holders whose consumers lost it."""
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


def _check_arguments(name: str, arguments: Mapping[str, Any]) -> None:
    unknown = sorted(set(arguments) - QUEUE_ARGUMENTS)
    if unknown:
        raise PreconditionFailed(
            f"PRECONDITION_FAILED - invalid arg '{unknown[0]}' for queue '{name}': "
            "the embedded broker does not have it"
        )
    if "x-delivery-limit" in arguments and arguments.get("x-queue-type") != "quorum":
        raise PreconditionFailed(
            f"PRECONDITION_FAILED - invalid arg 'x-delivery-limit' for queue '{name}' in vhost '/' "
            "of queue type rabbit_classic_queue"
        )


def _refuse_other(what: str, wanted: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    wanted, current = (_flat(wanted), _flat(current))
    for key in sorted(wanted.keys() | current.keys()):
        if wanted.get(key) != current.get(key):
            raise PreconditionFailed(
                f"PRECONDITION_FAILED - inequivalent arg '{key}' for {what} in vhost '/': "
                f"received {wanted.get(key)!r} but current is {current.get(key)!r}"
            )


def _flat(declared: Mapping[str, Any]) -> dict[str, Any]:
    flat = {key: value for key, value in declared.items() if key != "arguments"}
    return {**flat, **declared["arguments"]}
