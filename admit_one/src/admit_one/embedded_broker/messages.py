"""Messages: put into queues, claimed by a holder, and what becomes of them then.

Every function runs inside a transaction of the caller, save `claim`, which is one statement.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from amqp.exceptions import NotFound

from .dead_letter import dead_letter_properties
from .entities import Queue
from .routing import Router
from .wire_properties import expiration, pack_properties, unpack_properties

REASONS = {-1: "rejected", -2: "delivery_limit", -3: "expired", -4: "maxlen"}
"""Why a message waits for a way out: the `holder` of one that is dead and must not be lost."""

PARKED = {reason: holder for holder, reason in REASONS.items()}


@dataclass(frozen=True)
class Letter:
    """A message on its way into a queue."""

    exchange: str
    routing_key: str
    properties: bytes
    body: bytes


@dataclass(frozen=True)
class Claimed:
    """A message delivered to a holder."""

    id: int
    deliveries: int
    exchange: str
    routing_key: str
    properties: bytes
    body: bytes


class Messages:
    """The messages of the broker file behind `db`. Every transaction starts with `begin`."""

    def __init__(self, db: sqlite3.Connection, router: Router) -> None:
        self._db = db
        self._router = router
        self.touched: set[int] = set()

    def begin(self) -> None:
        """Forget what another process has changed, and which queues were `touched`.

        Those got something to deliver: the caller rings the bells of their consumers.
        """
        self.touched.clear()
        self._router.refresh()

    def publish(self, message: Letter) -> bool | None:
        """Put a message into each queue it is routed to. NotFound: there is no such exchange.

        None: it is routed nowhere. False: one of the queues is full and refuses it.
        """
        queues = self._router.route(message.exchange, message.routing_key)
        if not queues:
            return None
        taken = [self._put(queue, message) for queue in queues]
        return all(taken)

    def _put(self, queue: Queue, message: Letter) -> bool:
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
            self._drop_head(queue)
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

    def _drop_head(self, queue: Queue) -> None:
        (oldest,) = self._db.execute(
            "SELECT min(id) FROM message WHERE queue = ? AND holder = 0", (queue.id,)
        ).fetchone()
        self.bury([oldest], "maxlen")

    def has_ready(self, queue: int) -> bool:
        """Whether there is something to claim; a look only, which takes no lock from anybody."""
        row = self._db.execute(
            "SELECT 1 FROM message WHERE queue = ? AND holder = 0 LIMIT 1", (queue,)
        ).fetchone()
        return row is not None

    def claim(self, queue: int, holder: int, limit: int) -> list[Claimed]:
        """Take up to `limit` messages, the oldest first, in one statement."""
        rows = self._db.execute(
            "UPDATE message SET holder = ?, deliveries = deliveries + 1 WHERE id IN ("
            " SELECT id FROM message WHERE queue = ? AND holder = 0"
            " AND (expires_at IS NULL OR expires_at > ?) ORDER BY id LIMIT ?"
            ") RETURNING id, deliveries, exchange, routing_key, properties, body",
            (holder, queue, time.time(), limit),
        ).fetchall()
        return [Claimed(*row) for row in sorted(rows)]  # RETURNING keeps no order

    def remove(self, ids: Iterable[int], holder: int) -> None:
        """These are done: acknowledged by their holder."""
        self._db.execute(
            "DELETE FROM message WHERE id IN (SELECT value FROM json_each(?)) AND holder = ?",
            (_array(ids), holder),
        )

    def give_back(self, ids: Iterable[int], holder: int) -> None:
        """Back into the queue, at their old places; those that came back too often are dead."""
        rows = self._db.execute(
            "SELECT id, queue, deliveries FROM message"
            " WHERE id IN (SELECT value FROM json_each(?)) AND holder = ?",
            (_array(ids), holder),
        ).fetchall()
        self._give_back(rows)

    def give_back_all(self, holder: int) -> None:
        """Back into their queues with all that this holder has: it is gone."""
        rows = self._db.execute(
            "SELECT id, queue, deliveries FROM message"
            " WHERE queue IN (SELECT id FROM queue) AND holder = ?",
            (holder,),
        ).fetchall()
        self._give_back(rows)

    def _give_back(self, rows: Sequence[tuple[int, int, int]]) -> None:
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
        self.bury(spent, "delivery_limit")

    def undo_claim(self, ids: Iterable[int], holder: int) -> None:
        """Back, as if never claimed: nobody has seen them."""
        rows = self._db.execute(
            "UPDATE message SET holder = 0, deliveries = deliveries - 1"
            " WHERE id IN (SELECT value FROM json_each(?)) AND holder = ? RETURNING queue",
            (_array(ids), holder),
        ).fetchall()
        self.touched.update(queue for (queue,) in rows)

    def bury(self, ids: Iterable[int], reason: str) -> None:
        """Dead-letter these messages, or drop them where their queue has no dead-letter exchange.

        Where they must not be lost and have no way out they stay, for `bury_parked`.
        """
        for number in ids:
            row = self._db.execute(
                "SELECT queue, exchange, routing_key, properties, body FROM message WHERE id = ?",
                (number,),
            ).fetchone()
            if row is None:  # its queue was deleted meanwhile
                continue
            if self._send_off(self._router.queue(row[0]), Letter(*row[1:]), reason):
                self._db.execute("DELETE FROM message WHERE id = ?", (number,))
            else:
                self._db.execute(
                    "UPDATE message SET holder = ?, expires_at = NULL WHERE id = ?",
                    (PARKED[reason], number),
                )

    def _send_off(self, queue: Queue, dead: Letter, reason: str) -> bool:
        """Whether the message may leave its queue."""
        exchange = queue.arguments.get("x-dead-letter-exchange")
        if exchange is None:
            return True
        key = queue.arguments.get("x-dead-letter-routing-key", dead.routing_key)
        properties = dead_letter_properties(
            unpack_properties(dead.properties),
            reason,
            queue=queue.name,
            exchange=dead.exchange,
            routing_key=dead.routing_key,
        )
        try:
            taken = self.publish(Letter(exchange, key, pack_properties(properties), dead.body))
        except NotFound:
            taken = None
        return bool(taken) or queue.arguments.get("x-dead-letter-strategy") != "at-least-once"

    def has_expired_or_parked(self) -> bool:
        """Whether `bury_expired` or `bury_parked` have something to do."""
        row = self._db.execute(
            "SELECT 1 FROM message WHERE expires_at <= ? AND holder = 0 UNION ALL"
            " SELECT 1 FROM message WHERE queue IN (SELECT id FROM queue) AND holder < 0 LIMIT 1",
            (time.time(),),
        ).fetchone()
        return row is not None

    def bury_expired(self) -> None:
        """Dead-letter or drop what is older than it may be."""
        expired = self._db.execute(
            "SELECT id FROM message WHERE expires_at <= ? AND holder = 0 ORDER BY id LIMIT 500",
            (time.time(),),
        ).fetchall()
        self.bury([number for (number,) in expired], "expired")

    def bury_parked(self) -> None:
        """Try again to send off the dead that found no way out."""
        for holder, reason in REASONS.items():
            parked = self._db.execute(
                "SELECT id FROM message WHERE queue IN (SELECT id FROM queue) AND holder = ?"
                " ORDER BY id LIMIT 500",
                (holder,),
            ).fetchall()
            self.bury([number for (number,) in parked], reason)


def _array(numbers: Iterable[int]) -> str:
    return json.dumps(list(numbers))


def _expiry(queue: Queue, packed: bytes) -> float | None:
    """When the message expires, in seconds since the epoch: its own time to live or its queue's."""
    lives = [
        life
        for life in (queue.arguments.get("x-message-ttl"), expiration(packed))
        if life is not None
    ]
    return time.time() + min(lives) / 1000 if lives else None
