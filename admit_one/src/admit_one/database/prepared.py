"""Statements that are written by hand and run all the time: PostgreSQL plans them once a session.

Planning takes the server longer than running them. A plan is kept as long as its connection, at
most `CONN_MAX_AGE`, so a table that grows from nothing is soon planned again; and the driver
drops all plans after a rollback.
A migration that widens a column changes the type of a result, which PostgreSQL refuses for a kept
plan. Write such a column as `::text`, or expect that a transaction fails once and is repeated.
"""

from __future__ import annotations

from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

from . import session

CHANGED_RESULT = "0A000"
"""SQLSTATE of a kept plan whose result has another type since a migration."""

OF_ANOTHER_SESSION = {"26000", "42P05"}
"""SQLSTATEs of a name that the session does not know, or knows already: it is another's."""


def cursor(using: str = DEFAULT_DB_ALIAS, *, begin: bool = True) -> Any:
    """A cursor with Django's errors and query log, whose statements the server prepares.

    `begin=False` is for one that reads and locks nothing: in a transaction that has sent nothing
    yet, it need not begin it.
    On PostgreSQL, the server binds the values. It prepares nothing before `session.check` has
    found that a session belongs to one connection: a pooler would give it to others.
    """
    connection: Any = connections[using]
    if connection.vendor != "postgresql":
        return connection.cursor()
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    raw = connection.connection
    # The driver prepares what has run this often; statements of Django's own cursors never.
    # Of one that it has prepared before, it would keep no text for Django's query log.
    may_prepare = session.pooled_by_transaction is False and not connection.queries_logged
    raw.prepare_threshold = 0 if may_prepare else None
    wrap = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    made = wrap(connection.Database.Cursor(raw))  # psycopg, if it is in use
    made.only_reads = not begin
    return made


def are_useless(sqlstate: str | None) -> bool:
    """Whether this error shows that a connection's prepared statements cannot be used any more."""
    return sqlstate == CHANGED_RESULT or sqlstate in OF_ANOTHER_SESSION


def note(sqlstate: str | None) -> None:
    """Prepare nothing until the process starts again, if a pooler has begun to mix sessions."""
    if sqlstate in OF_ANOTHER_SESSION:
        session.pooled_by_transaction = None
