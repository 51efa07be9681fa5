"""Runs of the bare loop."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from psycopg import sql
from uuid_utils.compat import uuid7

from tools.bench.databases import Connection, fill
from tools.bench.drain import Drained, Progress, until_active
from tools.bench.stage import Stage

from . import bare, events, tables
from .place import Place

WAITING = "SELECT count(*) FROM subscription WHERE access_code IS NULL"


class BareLoop:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def prepare(self, count: int) -> None:
        """Make a database with `count` subscriptions to be relayed, and an empty one."""
        self._count = count
        self._payment = self._stage.databases.create("bare_payment")
        self._student = self._stage.databases.create("bare_student")
        fill(self._payment, lambda c: _record(c, count), "subscription", "outbox")
        fill(self._student, lambda c: c.execute(tables.IN_STUDENT))

    def drain(self, progress: Progress) -> Drained:
        """All four processes, the first relay last: it has what everybody waits for."""
        stage = self._stage
        with stage.databases.copies(payment=self._payment, student=self._student) as copies:
            place = Place(
                payment_database=copies["payment"],
                student_database=copies["student"],
                broker=stage.broker_url,
                prefix=stage.new_prefix(),
            )
            bare.declare(place.broker, place.prefix)
            try:
                first, *others = bare.PROCESSES
                environment = place.as_environment()
                with stage.processes(_commands(others), environment):
                    stage.databases.settle()
                    with stage.processes(_commands([first]), environment):
                        return until_active(copies["payment"], WAITING, self._count, progress)
            finally:
                bare.delete(place.broker, place.prefix)


def _commands(names: list[str]) -> dict[str, list[str]]:
    return {name: [sys.executable, "-m", "tools.bench.contenders.bare", name] for name in names}


def _record(connection: Connection, count: int) -> None:
    connection.execute(tables.IN_PAYMENT)
    posted = {uuid7(): events.a_subscription(number) for number in range(count)}
    _copy(
        connection,
        "subscription",
        ["id", *events.a_subscription(0)],
        [(key, *subscription.values()) for key, subscription in posted.items()],
    )
    messages = [events.user_subscribed(key, posted[key]) for key in posted]
    _copy(
        connection,
        "outbox",
        ["event_id", "type", "subject", "body"],
        [(m["id"], m["type"], m["subject"], events.to_wire(m)) for m in messages],
    )


def _copy(
    connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
