"""The bare loop: what the journey costs if nothing ever goes wrong.

    python -m tools.bench.contenders.bare NAME      one of its processes

The same rows, messages, quorum queues, batch sizes and confirms in flight as ours, in the fewest
statements; no validation, encryption, retries, reconnecting or orderly stop.
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

from tools.bench.contender import Drained, Progress
from tools.bench.drain import until_active
from tools.bench.results import BARE
from tools.bench.stage import BenchStage, Connection, fill

from . import events, tables
from .bare_handlers import columns, issue_codes, store_codes
from .place import WAITING, ContenderPlace

MODULE = "tools.bench.contenders.bare"

FIRST, *OTHERS = ("payment-relay", "student-consumer", "student-relay", "payment-consumer")
"""The backlog waits for the payment relay, so it starts last."""

BATCH = 500
LOOK_AGAIN = 0.005
"""Seconds between two queries of an empty outbox."""


class BareLoop:
    """It has no web process: its subscriptions are inserted directly."""

    name = BARE

    def __init__(self, stage: BenchStage) -> None:
        self._stage = stage

    def prepare(self) -> None:
        self._payment = self._stage.database("bare_payment")
        self._student = self._stage.database("bare_student")
        fill(self._student, lambda c: c.execute(tables.IN_STUDENT))

    def prepare_backlog(self, count: int) -> None:
        self._count = count
        fill(self._payment, lambda c: _record(c, count), "subscription", "outbox")

    def drain(self, progress: Progress) -> Drained:
        with self._stage.place(self._payment, self._student) as place:
            declare(place.broker, place.prefix)
            environment = place.as_environment()
            with self._stage.processes(_commands(OTHERS), environment):
                self._stage.checkpoint()
                with self._stage.processes(_commands([FIRST]), environment):
                    return until_active(place.payment_database, WAITING, self._count, progress)


def _commands(names: Sequence[str]) -> dict[str, list[str]]:
    return {name: [sys.executable, "-m", MODULE, name] for name in names}


def _record(connection: Connection, count: int) -> None:
    connection.execute(tables.IN_PAYMENT)
    posted = {uuid7(): events.a_subscription(number) for number in range(count)}
    messages = [events.user_subscribed(key, posted[key]) for key in posted]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO subscription (id, user_id, email, plan, amount, currency) "
            "VALUES (%s, %s, %s, %s, %s, %s)",
            [(key, *subscription.values()) for key, subscription in posted.items()],
        )
        cursor.executemany(
            "INSERT INTO outbox (event_id, type, subject, body) VALUES (%s, %s, %s, %s)",
            [(m["id"], m["type"], m["subject"], events.to_wire(m)) for m in messages],
        )


# its processes


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
    """One direct exchange for each publisher, one quorum queue for each consumer."""
    with connect(url) as connection:
        channel = connection.channel()
        for exchange in ("payment.events", "student.events"):
            channel.exchange_declare(prefix + exchange, "direct", durable=True, auto_delete=False)
        for inbox in ("payment.inbox", "student.inbox"):
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


class BareRelay:
    """Outbox rows → broker, one batch in flight at a time."""

    def __init__(self, database: Connection, connection: amqp.Connection, exchange: str) -> None:
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


Handle = Callable[[Connection, Sequence[events.Message]], None]


def consume(database: Connection, connection: amqp.Connection, queue: str, handle: Handle) -> None:
    """Broker → one transaction and one ack per batch."""
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
                columns([(m["source"], m["id"], m["type"], m["subject"]) for m in batch]),
            ).fetchall()
            fresh = {event_id for (event_id,) in new}
            handle(database, [message for message in batch if message["id"] in fresh])
        channel.basic_ack(arrived[-1].delivery_tag, multiple=True)
        arrived.clear()


def main() -> None:
    name = sys.argv[1]
    side, _, role = name.partition("-")
    place = ContenderPlace.from_environment()
    dsn = place.payment_database if side == "payment" else place.student_database
    with psycopg.connect(dsn, autocommit=True) as database, connect(place.broker) as connection:
        print(f"bare {name} ready", flush=True)
        if role == "relay":
            BareRelay(database, connection, f"{place.prefix}{side}.events").run()
        else:
            handle = issue_codes if side == "student" else store_codes
            consume(database, connection, f"{place.prefix}{side}.inbox", handle)


if __name__ == "__main__":
    main()
