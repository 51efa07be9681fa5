"""For tests of races in PostgreSQL: an act on a connection of its own, and whether one waits."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from django.db import connection, connections

T = TypeVar("T")

WAITS = """
    SELECT count(*) FROM pg_locks AS waiting JOIN pg_locks AS other USING (pid)
    JOIN pg_database ON pg_database.oid = other.database
    WHERE NOT waiting.granted AND datname = current_database()
"""
# Not pg_stat_activity: a transaction sees it as it was at its first look.


def in_a_thread(act: Callable[[], T]) -> Future[T]:
    """Runs `act` with a database connection of its own."""

    def run() -> T:
        try:
            return act()
        finally:
            connections.close_all()

    return ThreadPoolExecutor(1).submit(run)


def somebody_waits() -> bool:
    """Whether a session of this database waits for a lock."""
    with connection.cursor() as cursor:
        cursor.execute(WAITS)
        return bool(cursor.fetchone()[0])
