"""Adds up in the database what each process has counted (see `counting`), in one statement.

All times are the database's, because clocks differ. A row holds a minute and the one before, so
there are only as many rows as subjects.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from django.db import connection, transaction

from admit_one.database import outage, prepared
from admit_one.web.limits.counts import WINDOW, Tally
from admit_one.web.models import RateCount

PLACE = "the database"
OUTAGE_ERRORS = outage.DATABASE_ERRORS

PRUNE_BATCH = 10_000
"""Rows in one DELETE."""

# The clock may reach the next minute while we wait for another process's row: then what is given
# belongs to the row's minute before. A row of any other minute has no weight any more.
ADD = """
    INSERT INTO web_ratecount AS kept (subject, minute, count, previous)
    SELECT given.column1, clock.minute, given.column2, given.column3 FROM {given}, {clock}
    WHERE true
    ON CONFLICT (subject) DO UPDATE SET
      minute = CASE kept.minute WHEN excluded.minute + 1 THEN kept.minute ELSE excluded.minute END,
      count = CASE kept.minute
        WHEN excluded.minute THEN kept.count + excluded.count
        WHEN excluded.minute + 1 THEN kept.count
        ELSE excluded.count END,
      previous = CASE kept.minute
        WHEN excluded.minute THEN kept.previous + excluded.previous
        WHEN excluded.minute - 1 THEN kept.count + excluded.previous
        WHEN excluded.minute + 1 THEN kept.previous + excluded.count
        ELSE excluded.previous END
    RETURNING subject, minute, count, previous, {now}
"""

# Nothing is lost that matters if the server crashes, so the commit does not wait for the disk.
ON_POSTGRESQL = ADD.format(
    given="unnest(%s::text[], %s::bigint[], %s::bigint[]) AS given (column1, column2, column3)",
    clock=f"(SELECT floor(extract(epoch FROM clock_timestamp()) / {WINDOW})::bigint AS minute, "  # noqa: S608
    "set_config('synchronous_commit', 'off', true)) AS clock",
    now="extract(epoch FROM clock_timestamp())::float8",
)


def add(uncounted: Sequence[Tally]) -> tuple[list[Tally], float]:
    """Add what a process has counted; returns the totals of all processes, and the time.

    Raises one of `OUTAGE_ERRORS`; then nothing is added.
    """
    # Two processes that lock the same rows in different orders would wait for each other.
    rows = sorted(uncounted)
    with prepared.cursor() as cursor:
        if connection.vendor == "postgresql":
            subjects, _, requests, previous = map(list, zip(*rows, strict=True))
            cursor.execute(ON_POSTGRESQL, [subjects, requests, previous])
        else:  # a file has one machine's clock
            now = time.time()
            values = [value for row in rows for value in (row.subject, row.requests, row.previous)]
            cursor.execute(_on_sqlite(len(rows)), [*values, int(now // WINDOW), now])
        returned = cursor.fetchall()
    return [Tally(*row[:4]) for row in returned], float(returned[0][4])


def prune(before: int) -> None:
    """Delete rows of minutes before this one, which have no weight any more.

    Waits for no other process. Raises one of `OUTAGE_ERRORS`.
    """
    with transaction.atomic():
        old = RateCount.objects.filter(minute__lt=before).select_for_update(skip_locked=True)
        subjects = old.values("subject")[:PRUNE_BATCH]
        RateCount.objects.filter(subject__in=subjects).delete()


def forget_connection() -> None:
    """Close the connection; the next use opens another."""
    outage.forget_connection()


def _on_sqlite(rows: int) -> str:
    return ADD.format(
        given=f"(VALUES {', '.join(['(%s, %s, %s)'] * rows)}) AS given",
        clock="(SELECT %s AS minute) AS clock",
        now="%s",
    )
