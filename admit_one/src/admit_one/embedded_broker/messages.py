"""Messages: put into queues, claimed by a connection, then acknowledged, requeued or dead.

Every method that writes runs in the caller's transaction.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from amqp.exceptions import NotFound

from .dead_letter import dead_letter_properties, would_cycle
from .entities import Queue
from .routing import Router
from .wire_properties import expiration, pack_properties, unpack_properties

REASONS = {-1: "rejected", -2: "delivery_limit", -3: "expired", -4: "maxlen"}
"""Why a message is parked, by its `holder`: it is dead, and cannot be routed as a dead letter."""

PARKED = {reason: holder for holder, reason in REASONS.items()}


@dataclass(frozen=True)
class PackedMessage:
    """A message on its way into a queue."""

    exchange: str
    routing_key: str
    properties: bytes
    body: bytes


@dataclass(frozen=True)
class Claimed(PackedMessage):
    """A message delivered to a holder."""

    id: int
    deliveries: int


class Messages:
    """The messages of the broker file behind `db`. Every transaction starts with `begin`."""

    def __init__(self, db: sqlite3.Connection, router: Router) -> None:
        self._db = db
        self._router = router
        self.touched: set[int] = set()
        self._too_long: deque[Queue] = deque()

    def begin(self) -> None:
        """Refresh the routes, and clear `touched`: the queues that got something to deliver.

        After the transaction, the caller wakes the consumers of the `touched` queues.
        """
        self.touched.clear()
        self._too_long.clear()
        self._router.refresh()

    def publish(self, message: PackedMessage) -> bool | None:
        """Put a message into each queue that it is routed to. Raises `NotFound` for the exchange.

        Returns None if it is routed nowhere, False if one of the queues is full and refuses it.
        """
        self._too_long.clear()
        taken = self._publish(message)
        self._drop_heads()
        return taken

    def _publish(
        self, message: PackedMessage, *, unless: Callable[[Queue], bool] = lambda _: False
    ) -> bool | None:
        """As `publish`, leaving queues too long; a queue of which `unless` is true gets nothing."""
        queues = self._router.route(message.exchange, message.routing_key)
        if not queues:
            return None
        taken = [self._put(queue, message) for queue in queues if not unless(queue)]
        return all(taken)

    def _put(self, queue: Queue, message: PackedMessage) -> bool:
        is_full = self._is_full(queue)
        if is_full and queue.arguments.get("x-overflow") == "reject-publish":
            return False
        self._db.execute(
            "INSERT INTO message (queue, expires_at, exchange, routing_key, properties, body)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                *(queue.id, _expiry(queue, message.properties)),
                *(message.exchange, message.routing_key, message.properties, message.body),
            ),
        )
        self.touched.add(queue.id)
        if is_full:
            self._too_long.append(queue)
        return True

    def _is_full(self, queue: Queue) -> bool:
        limit = queue.arguments.get("x-max-length")
        if limit is None:
            return False
        (ready,) = self._db.execute(
            "SELECT count(*) FROM (SELECT 1 FROM message WHERE queue = ? AND holder = 0 LIMIT ?)",
            (queue.id, limit),
        ).fetchone()
        return bool(ready >= limit)

    def _drop_heads(self) -> None:
        """Drop the oldest of each queue that is too long; dead letters may make others so."""
        while self._too_long:
            queue = self._too_long.popleft()
            (oldest,) = self._db.execute(
                "SELECT min(id) FROM message WHERE queue = ? AND holder = 0", (queue.id,)
            ).fetchone()
            self._dead_letter(oldest, "maxlen")

    def has_ready(self, queue: int) -> bool:
        """Whether there is something to claim. It takes no write lock."""
        row = self._db.execute(
            "SELECT 1 FROM message WHERE queue = ? AND holder = 0 LIMIT 1", (queue,)
        ).fetchone()
        return row is not None

    def claim(self, queue: int, holder: int, limit: int) -> list[Claimed]:
        """Claim up to `limit` messages, the oldest first."""
        rows = self._db.execute(
            "UPDATE message SET holder = ?, deliveries = deliveries + 1 WHERE id IN ("
            " SELECT id FROM message WHERE queue = ? AND holder = 0"
            " AND (expires_at IS NULL OR expires_at > ?) ORDER BY id LIMIT ?"
            ") RETURNING exchange, routing_key, properties, body, id, deliveries",
            (holder, queue, time.time(), limit),
        )
        # RETURNING keeps no order.
        return sorted((Claimed(*row) for row in rows), key=lambda claimed: claimed.id)

    def remove(self, ids: Iterable[int], holder: int) -> None:
        """Delete messages that their holder has acknowledged."""
        self._db.execute(
            "DELETE FROM message WHERE id IN (SELECT value FROM json_each(?)) AND holder = ?",
            (_array(ids), holder),
        )

    def requeue(self, ids: Iterable[int], holder: int) -> None:
        """Put messages back at their old places; dead-letter those over their delivery limit."""
        rows = self._db.execute(
            "SELECT id, queue, deliveries FROM message"
            " WHERE id IN (SELECT value FROM json_each(?)) AND holder = ?",
            (_array(ids), holder),
        ).fetchall()
        spent: list[int] = []
        good: list[int] = []
        for number, queue, deliveries in rows:
            limit = self._router.queue(queue).arguments.get("x-delivery-limit")
            (spent if limit is not None and deliveries > limit else good).append(number)
            self.touched.add(queue)
        self._db.execute(
            "UPDATE message SET holder = 0 WHERE id IN (SELECT value FROM json_each(?))",
            (_array(good),),
        )
        self.dead_letter(spent, "delivery_limit")

    def requeue_all(self, holder: int) -> None:
        """Requeue everything that this holder has."""
        self.requeue(self._of_holder(holder), holder)

    def undo_claim(self, ids: Iterable[int], holder: int) -> None:
        """Put back messages that nobody has seen, as if they had never been claimed."""
        rows = self._db.execute(
            "UPDATE message SET holder = 0, deliveries = deliveries - 1"
            " WHERE id IN (SELECT value FROM json_each(?)) AND holder = ? RETURNING queue",
            (_array(ids), holder),
        ).fetchall()
        self.touched.update(queue for (queue,) in rows)

    def dead_letter(self, ids: Iterable[int], reason: str) -> None:
        """Dead-letter these messages, or drop them if their queue has no dead-letter exchange.

        Those that must not be lost and cannot be routed are parked, for `retry_parked`.
        """
        for number in ids:
            self._dead_letter(number, reason)
        self._drop_heads()

    def _dead_letter(self, number: int, reason: str) -> None:
        row = self._db.execute(
            "SELECT queue, exchange, routing_key, properties, body FROM message WHERE id = ?",
            (number,),
        ).fetchone()
        if row is None:  # its queue was deleted meanwhile
            return
        if self._route_dead_letter(self._router.queue(row[0]), PackedMessage(*row[1:]), reason):
            self._db.execute("DELETE FROM message WHERE id = ?", (number,))
        else:
            self._db.execute(
                "UPDATE message SET holder = ?, expires_at = NULL WHERE id = ?",
                (PARKED[reason], number),
            )

    def _route_dead_letter(self, queue: Queue, dead: PackedMessage, reason: str) -> bool:
        """Publish `dead` to the dead-letter exchange; returns whether it may leave its queue."""
        exchange = queue.arguments.get("x-dead-letter-exchange")
        if exchange is None:
            return True
        key = queue.arguments.get("x-dead-letter-routing-key", dead.routing_key)
        properties, packed = _dead_letter(queue, dead, reason)
        letter = PackedMessage(exchange, key, packed, dead.body)
        try:
            taken = self._publish(letter, unless=lambda to: would_cycle(properties, to.name))
        except NotFound:
            taken = None
        return bool(taken) or queue.arguments.get("x-dead-letter-strategy") != "at-least-once"

    def has_expired_or_parked(self) -> bool:
        """Whether `dead_letter_expired` or `retry_parked` has something to do."""
        row = self._db.execute(
            "SELECT 1 FROM message WHERE expires_at <= ? AND holder = 0 UNION ALL"
            " SELECT 1 FROM message WHERE queue IN (SELECT id FROM queue) AND holder < 0 LIMIT 1",
            (time.time(),),
        ).fetchone()
        return row is not None

    def dead_letter_expired(self) -> None:
        """Dead-letter or drop messages that have expired."""
        expired = self._db.execute(
            "SELECT id FROM message WHERE expires_at <= ? AND holder = 0 ORDER BY id LIMIT 500",
            (time.time(),),
        ).fetchall()
        self.dead_letter([number for (number,) in expired], "expired")

    def retry_parked(self) -> None:
        """Try again to route the parked messages."""
        for holder, reason in REASONS.items():
            self.dead_letter(self._of_holder(holder, limit=500), reason)

    def _of_holder(self, holder: int, limit: int = -1) -> list[int]:
        """The ids of this holder's messages, the oldest first; at most `limit` (-1: all)."""
        rows = self._db.execute(
            "SELECT id FROM message WHERE queue IN (SELECT id FROM queue) AND holder = ?"
            " ORDER BY id LIMIT ?",
            (holder, limit),
        )
        return [number for (number,) in rows]


def _array(numbers: Iterable[int]) -> str:
    return json.dumps(list(numbers))


def _dead_letter(queue: Queue, dead: PackedMessage, reason: str) -> tuple[dict[str, Any], bytes]:
    """The properties of the dead letter, and the same as bytes.

    Third parties write properties: one that cannot be written again is left out with the others.
    """
    died = {"queue": queue.name, "exchange": dead.exchange, "routing_key": dead.routing_key}
    try:
        properties = dead_letter_properties(unpack_properties(dead.properties), reason, **died)
        return properties, pack_properties(properties)
    except Exception:  # noqa: BLE001 (it must cost nothing but its own message's properties)
        properties = dead_letter_properties({}, reason, **died)
        return properties, pack_properties(properties)


def _expiry(queue: Queue, packed: bytes) -> float | None:
    """When the message expires, in seconds since the epoch, by its own TTL or its queue's."""
    lives = [
        life
        for life in (queue.arguments.get("x-message-ttl"), expiration(packed))
        if life is not None
    ]
    return time.time() + min(lives) / 1000 if lives else None
