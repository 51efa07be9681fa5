"""The database's clock, the only one that all processes share."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import connection, models
from django.db.models.functions import Now
from django.utils import timezone

# A writer's time is read after its transaction has an id, so that a reader sees one of both: the
# transaction under way, or its rows. Where the server does not say since when, it hides all.
CHANGED_BEFORE = """
    SELECT least(statement_timestamp(), min(coalesce(xact_start, '0001-01-01 00:00:00Z')))
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_xid IS NOT NULL AND pid <> pg_backend_pid()
"""


def now() -> datetime:
    """Now by the database's clock."""
    if connection.vendor == "sqlite":
        return timezone.now()  # this machine has both
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        [(at,)] = cursor.fetchall()
    return at  # type: ignore[no-any-return]


def now_plus(seconds: float) -> models.Expression:
    """`seconds` from now by the database's clock."""
    return models.ExpressionWrapper(
        Now() + timedelta(seconds=seconds), output_field=models.DateTimeField()
    )


class WrittenNow(Now):
    """Now, as a column's default. On SQLite it is written as Django writes a time.

    SQLite compares texts: with fewer digits, a time would come before itself.
    """

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = (
            f"({SQLITE_NOW.replace('%', '%%%%')})"  # it is filled in, and so is the statement
        )
        return self.as_sql(compiler, connection, template=template, **context)


SQLITE_NOW = "replace(strftime('%Y-%m-%d %H:%M:%f', 'now') || '000', '.000000', '')"


def changed_before() -> datetime:
    """A time before which no other transaction changes a row any more.

    For rows with the time of their change, as `changes` keeps it: who reads them in that order
    up to this time, and later those after it, misses none. Call it before the query for the rows.
    """
    if connection.vendor == "sqlite":
        # One writer at a time, and this machine's clock; the trigger reads it to the millisecond.
        now = timezone.now()
        return now.replace(microsecond=now.microsecond // 1_000 * 1_000)
    with connection.cursor() as cursor:
        cursor.execute(CHANGED_BEFORE)
        [(at,)] = cursor.fetchall()
    return at  # type: ignore[no-any-return]
