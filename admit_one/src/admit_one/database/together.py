"""Transactions whose rows are sent together at their end, in one statement.

Each statement costs a round trip and time of this process, and so do BEGIN and COMMIT. On
PostgreSQL, a transaction that sends nothing before its end needs neither: one statement is a
transaction by itself. SQLite has no such statements, and gets each at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.transaction import atomic

from . import prepared

RETURNED = "returned"
"""What an INSERT with `then` returns, for other statements beside it."""

Then = Callable[[Sequence[Any]], None]
"""Gets each row that an INSERT returns. It may be committed by then, so this must not raise."""


class Overtaken(Exception):
    """The row of `only_if` is not as expected; nothing was written."""


@contextmanager
def transaction(using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """`transaction.atomic`, but what `bulk.insert` is given is sent when the block ends.

    Any other statement but one that only reads by a `prepared` cursor sends it earlier.
    In another such block, it becomes a part of that one.
    Raises what sending raises: `Overtaken`, or a database error.
    """
    connection: Any = connections[using]
    if connection.vendor != "postgresql" or connection.writes is not None:
        with atomic(using, savepoint=False):
            yield
        return
    is_alone = connection.get_autocommit()  # otherwise it is a part of a larger transaction
    with atomic(using, savepoint=False):
        connection.writes = Writes(connection)
        try:
            yield
            if connection.needs_rollback:
                connection.writes.forget()
            elif not is_alone or not connection.begins_later:
                connection.begin()  # which sends them
            elif connection.writes:
                connection.writes.send()
        finally:
            connection.writes = None


def only_if(change: str, values: Sequence[Any], using: str = DEFAULT_DB_ALIAS) -> None:
    """Write what comes later in this transaction only if this UPDATE changes its row.

    Comes first in the transaction.
    """
    connection: Any = connections[using]
    if connection.vendor == "postgresql":
        connection.writes.only_if(change, values)
        return
    with connection.cursor() as cursor:
        cursor.execute(change, values)
        if not cursor.rowcount:
            raise Overtaken


def insert_beside(statement: str, values: Sequence[Any], using: str = DEFAULT_DB_ALIAS) -> bool:
    """Send this INSERT with the others, as it reads what one of them returns from `RETURNED`.

    False, and nothing is sent, if none that returns something waits in a `transaction`.
    """
    writes: Writes | None = getattr(connections[using], "writes", None)
    return writes is not None and writes.insert_beside(statement, values)


def is_open(using: str = DEFAULT_DB_ALIAS) -> bool:
    """Whether a single row that `bulk.insert` is given now is sent later, with others."""
    connection: Any = connections[using]
    return connection.vendor == "postgresql" and connection.writes is not None


class Writes:
    """Statements of a transaction that are not sent yet."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.forget()

    def forget(self) -> None:
        self._change: tuple[str, Sequence[Any]] | None = None
        self._inserts: list[tuple[str, str, Sequence[Any]]] = []
        self._then: Then | None = None

    def __bool__(self) -> bool:
        return bool(self._change or self._inserts)

    def only_if(self, change: str, values: Sequence[Any]) -> None:
        self._change = f"{change} RETURNING 1", values

    def insert(
        self, insertion: Callable[[str], str], values: Sequence[Any], then: Then | None
    ) -> None:
        """`insertion` makes the statement, with a condition for its WHERE."""
        if then is not None:
            if self._then is not None:  # one statement returns the rows of one INSERT
                self._connection.begin()
            self._then = then
        condition = "true" if self._change is None else "EXISTS (SELECT FROM change)"
        name = f"new_{len(self._inserts)}" if then is None else RETURNED
        self._inserts.append((name, insertion(condition), values))

    def insert_beside(self, statement: str, values: Sequence[Any]) -> bool:
        if self._then is None:
            return False
        self._inserts.append((f"new_{len(self._inserts)}", statement, values))
        return True

    def send(self) -> None:
        (statement, values), change, then = self._as_one(), self._change, self._then
        self.forget()
        with prepared.cursor(self._connection.alias, begin=False) as cursor:
            cursor.execute(statement, values)
            rows = cursor.fetchall()
        if change is not None and not rows:
            raise Overtaken
        if then is not None:
            for row in rows:
                then(row)

    def _as_one(self) -> tuple[str, list[Any]]:
        named = [("change", *self._change)] if self._change is not None else []
        named += self._inserts
        parts = ", ".join(f"{name} AS ({statement})" for name, statement, _ in named)
        shown = "SELECT 1" if self._change is None else "TABLE change"
        if self._then is not None:
            shown = f"TABLE {RETURNED}"
        return f"WITH {parts} {shown}", [value for _, _, given in named for value in given]
