"""How the bare loop runs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from psycopg import sql
from uuid_utils.compat import uuid7

from tools.bench.contender import Drained, Progress
from tools.bench.databases import Connection, fill
from tools.bench.drain import until_active
from tools.bench.results import BARE
from tools.bench.stage import Stage

from . import bare_processes, events, tables
from .places import WAITING, Places

FIRST, *OTHERS = bare_processes.PROCESSES
"""The first relay has what all the others wait for: it starts last."""


class BareLoop:
    """Has no web process: its subscriptions are copied into its tables."""

    name = BARE

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def prepare(self) -> None:
        databases = self._stage.databases
        self._places = Places(
            self._stage,
            databases.create("bare_payment"),
            databases.create("bare_student"),
            queues=bare_processes.INBOXES,
            exchanges=bare_processes.EXCHANGES,
        )
        fill(self._places.student, lambda c: c.execute(tables.IN_STUDENT))

    def prepare_backlog(self, count: int) -> None:
        self._count = count
        fill(self._places.payment, lambda c: _record(c, count), "subscription", "outbox")

    def drain(self, progress: Progress) -> Drained:
        with self._places.new() as place:
            bare_processes.declare(place.broker, place.prefix)
            environment = place.as_environment()
            with self._stage.processes(_commands(OTHERS), environment):
                self._stage.databases.checkpoint()
                with self._stage.processes(_commands([FIRST]), environment):
                    return until_active(place.payment_database, WAITING, self._count, progress)


def _commands(names: Sequence[str]) -> dict[str, list[str]]:
    return {name: [sys.executable, "-m", bare_processes.__name__, name] for name in names}


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
