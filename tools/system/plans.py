"""How many rows PostgreSQL reads to answer what a program asks, by its own plans.

assert large_reads({"why": partial(call_command, "why", subject)}) == {}
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

ROWS = int(os.environ.get("TEST_ROWS", "200000"))
"""In each table that is kept, where a test asks for many."""

TIMEOUT = max(600, ROWS // 500)
"""Seconds for such a test; most of them pass while the rows are made."""

MAX_ROWS = 50_000
"""Rows that one statement may read. What is counted is capped at 10,000; a plan may pass over a few
times as many that are in another state."""


@dataclass(frozen=True)
class Statement:
    sql: str
    params: Any


def large_reads(
    questions: Mapping[str, Callable[[], Any]], *, most: int = MAX_ROWS
) -> dict[str, list[str]]:
    """By question, every statement that reads over `most` rows of a table, and where in its plan.

    Raises `ValueError` for a question that asks the database nothing.
    """
    large = {}
    for name, ask in questions.items():
        with _watched() as asked:
            ask()
        if not asked:
            raise ValueError(f"{name}: expected a question to the database, and it asked none")
        reads = [f"{read}: {sent.sql[:300]}" for sent in asked for read in _reads_of(sent, most)]
        if reads:
            large[name] = reads
    return large


@contextmanager
def _watched() -> Iterator[list[Statement]]:
    """The statements that the block sends to the database."""
    asked: list[Statement] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(("SELECT", "UPDATE", "DELETE", "WITH")) and not many:
            asked.append(Statement(sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield asked


def fill(table: str, columns: Mapping[str, str], rows: int = ROWS) -> None:
    """Insert rows made of an SQL expression for each column, of `n` from 1 to `rows`."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) "  # noqa: S608 (a test's own words)
            f"SELECT {', '.join(columns.values())} FROM generate_series(1, {rows}) AS n"
        )
        cursor.execute(f"VACUUM ANALYZE {table}")


def uuid_of(space: int) -> str:
    """An SQL expression for the UUID of row `n` as text; each `space` has its own."""
    return f"'{space:08x}-0000-7000-8000-' || lpad(to_hex(n), 12, '0')"


def the_uuid(space: int, n: int) -> str:
    """The UUID that `uuid_of` makes for row `n`."""
    return f"{space:08x}-0000-7000-8000-{n:012x}"


def _reads_of(statement: Statement, most: int) -> list[str]:
    # Only reading is done again; a change is planned, and its plan must not read a whole table.
    is_read = statement.sql.startswith(("SELECT", "WITH"))
    how = "ANALYZE, TIMING OFF, FORMAT JSON" if is_read else "FORMAT JSON"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(f"EXPLAIN ({how}) {statement.sql}", statement.params)
        [(plan,)] = cursor.fetchall()
        transaction.set_rollback(True)
    plan = json.loads(plan) if isinstance(plan, str) else plan
    nodes = _nodes(plan[0]["Plan"])
    return [read for node in nodes if (read := _large(node, most, is_read=is_read))]


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for part in node.get("Plans", ()):
        yield from _nodes(part)


def _large(node: dict[str, Any], most: int, *, is_read: bool) -> str:
    """What is wrong with this part of a plan; empty if nothing is."""
    if not (table := node.get("Relation Name")):
        return ""
    kind = node["Node Type"]
    if not is_read:
        whole = kind == "Seq Scan" and node["Plan Rows"] > most
        return f"{kind} of {table}" if whole else ""
    names = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    read = sum(node.get(name, 0) for name in names) * node["Actual Loops"]
    return f"{kind} of {table} reads {read:,.0f} rows" if read > most else ""
