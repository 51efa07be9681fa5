"""The processes of the bare loop: what the journey costs if nothing may ever go wrong.

    python -m tools.bench.contenders.bare_processes NAME      one of `PROCESSES`

The same rows, messages, quorum queues, batch sizes and confirms in flight as ours, in the fewest
statements. No validation, no sealing, no retries, no reconnecting, no way to stop but a signal.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

import amqp
import psycopg
from uuid_utils.compat import uuid7

from . import events
from .place import Place

BATCH = 500
LOOK_AGAIN = 0.005
"""Seconds between two looks at an empty outbox."""

PROCESSES = ("payment-relay", "student-consumer", "student-relay", "payment-consumer")
EXCHANGES = ("payment.events", "student.events")
INBOXES = ("payment.inbox", "student.inbox")
"""Names on the broker, behind a prefix."""

Database = psycopg.Connection[Any]


def connect(url: str) -> amqp.Connection:
    parts = urlsplit(url)
    connection = amqp.Connection(
        f"{parts.hostname}:{parts.port or 5672}",
        userid=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        virtual_host=unquote(parts.path[1:]) or "/",
        ssl=parts.scheme == "amqps",
    )
    connection.connect()
    return connection


def declare(url: str, prefix: str) -> None:
    """One direct exchange a publisher, one quorum queue a subscriber."""
    with connect(url) as connection:
        channel = connection.channel()
        for exchange in EXCHANGES:
            channel.exchange_declare(prefix + exchange, "direct", durable=True, auto_delete=False)
        for inbox in INBOXES:
            channel.queue_declare(
                prefix + inbox,
                durable=True,
                auto_delete=False,
                arguments={"x-queue-type": "quorum"},
            )
        channel.queue_bind(f"{prefix}student.inbox", f"{prefix}payment.events", "user_subscribed")
        channel.queue_bind(
            f"{prefix}payment.inbox", f"{prefix}student.events", "access_code_created"
        )


class Relay:
    """Outbox rows → broker, a batch in flight at a time."""

    def __init__(self, database: Database, connection: amqp.Connection, exchange: str) -> None:
        self._database = database
        self._connection = connection
        self._exchange = exchange
        channel: Any = connection.channel()
        channel.events["basic_ack"].add(self._confirmed)
        channel.confirm_select()
        self._channel = channel
        self._sent = 0
        self._unconfirmed: set[int] = set()

    def run(self) -> None:
        while True:
            with self._database.transaction():
                published = self._carry()
            if not published:
                time.sleep(LOOK_AGAIN)

    def _carry(self) -> int:
        rows = self._database.execute(
            "SELECT id, event_id, type, subject, body FROM outbox WHERE published_at IS NULL "
            "ORDER BY created_at, id LIMIT %s FOR UPDATE SKIP LOCKED",
            [BATCH],
            binary=True,
        ).fetchall()
        for _, event_id, event_type, subject, body in rows:
            self._publish(event_id, event_type, subject, body)
        while self._unconfirmed:
            self._connection.drain_events(timeout=10)
        if rows:
            self._database.execute(
                "UPDATE outbox SET published_at = now() WHERE id = ANY(%s)", [[r[0] for r in rows]]
            )
        return len(rows)

    def _publish(self, event_id: str, event_type: str, subject: str, body: bytes) -> None:
        message = amqp.Message(
            body,
            content_type="application/cloudevents+json",
            message_id=event_id,
            type=event_type,
            app_id=self._exchange,
            correlation_id=subject,
            timestamp=int(time.time()),
            delivery_mode=2,
        )
        self._sent += 1
        self._unconfirmed.add(self._sent)
        self._channel.basic_publish(message, self._exchange, event_type, mandatory=True)

    def _confirmed(self, tag: int, multiple: bool) -> None:
        self._unconfirmed -= {t for t in self._unconfirmed if t <= tag} if multiple else {tag}


Handle = Callable[[Database, Sequence[events.Message]], None]


def consume(database: Database, connection: amqp.Connection, queue: str, handle: Handle) -> None:
    """Broker → one transaction a batch → one ack a batch."""
    channel = connection.channel()
    channel.auto_decode = False
    arrived: list[Any] = []
    channel.basic_qos(0, BATCH, False)
    channel.basic_consume(queue, callback=arrived.append)
    while True:
        connection.drain_events()
        with suppress(TimeoutError, BlockingIOError):
            while len(arrived) < BATCH:
                connection.drain_events(timeout=0)
        batch = [json.loads(message.body) for message in arrived]
        with database.transaction():
            new = database.execute(
                "INSERT INTO inbox (source, event_id, type, subject) "
                "SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) "
                "ON CONFLICT DO NOTHING RETURNING event_id",
                _columns([(m["source"], m["id"], m["type"], m["subject"]) for m in batch]),
            ).fetchall()
            fresh = {event_id for (event_id,) in new}
            handle(database, [message for message in batch if message["id"] in fresh])
        channel.basic_ack(arrived[-1].delivery_tag, multiple=True)
        arrived.clear()


def issue_codes(database: Database, batch: Sequence[events.Message]) -> None:
    replies = [events.access_code_created(message, events.new_code()) for message in batch]
    database.execute(
        "INSERT INTO access_code (subscription_id, user_id, plan, code) "
        "SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[]) "
        "ON CONFLICT DO NOTHING",
        _columns(
            [
                (m["subject"], m["data"]["user_id"], m["data"]["plan"], r["data"]["access_code"])
                for m, r in zip(batch, replies, strict=True)
            ]
        ),
    )
    ids = [uuid7() for _ in batch]
    database.execute(
        "INSERT INTO mail_intent (id, subscription_id, message_id, recipient) "
        "SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[])",
        _columns(
            [
                (i, m["subject"], f"<{i}@example.com>", m["data"]["email"])
                for i, m in zip(ids, batch, strict=True)
            ]
        ),
    )
    database.execute(
        "INSERT INTO outbox (event_id, type, subject, body) "
        "SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bytea[])",
        _columns([(r["id"], r["type"], r["subject"], events.to_wire(r)) for r in replies]),
    )


def store_codes(database: Database, batch: Sequence[events.Message]) -> None:
    database.execute(
        "UPDATE subscription SET access_code = given.code "
        "FROM unnest(%s::uuid[], %s::text[]) AS given (id, code) "
        "WHERE subscription.id = given.id AND access_code IS NULL",
        _columns([(m["subject"], m["data"]["access_code"]) for m in batch]),
    )


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def main() -> None:
    name = sys.argv[1]
    side, _, role = name.partition("-")
    place = Place.from_environment()
    dsn = place.payment_database if side == "payment" else place.student_database
    with psycopg.connect(dsn, autocommit=True) as database, connect(place.broker) as connection:
        print(f"bare {name} ready", flush=True)
        if role == "relay":
            Relay(database, connection, f"{place.prefix}{side}.events").run()
        else:
            handle = issue_codes if side == "student" else store_codes
            consume(database, connection, f"{place.prefix}{side}.inbox", handle)


if __name__ == "__main__":
    main()
