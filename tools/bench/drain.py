"""Times how long a backlog of subscriptions or of mails takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import LiteralString

import psycopg

from .contender import Drained, NoProgress, Progress
from .stage import Connection

LOOK_EVERY = 0.05
"""Seconds between two counts, and so the error of a measurement."""

PATIENCE = 30.0
"""Seconds without progress after which the measurement fails."""

MAILS_SENT = "SELECT count(*) FROM access_codes_mailintent WHERE state = 'sent'"
FIRST_MAILS = 50
"""Mails sent before the clock starts, as a warm-up."""


def until_active(url: str, waiting: LiteralString, count: int, progress: Progress) -> Drained:
    """Time until the query `waiting`, in the database at `url`, returns 0."""
    start = time.perf_counter()
    with psycopg.connect(url, autocommit=True) as connection:
        watch(connection, waiting, lambda left: left == 0, lambda left: progress(count - left))
        return Drained(count, time.perf_counter() - start)


def mails_sent(url: str, count: int, progress: Progress, warm: Callable[[], object]) -> Drained:
    """Time `count` mails in the database at `url`; `warm` is called after the warm-up."""
    with psycopg.connect(url, autocommit=True) as connection:
        before = watch(connection, MAILS_SENT, lambda sent: sent >= FIRST_MAILS, lambda _: None)
        warm()
        start = time.perf_counter()
        after = watch(connection, MAILS_SENT, lambda sent: sent >= before + count, progress)
        return Drained(after - before, time.perf_counter() - start)


def all_mailed(url: str, count: int, progress: Progress) -> None:
    """Wait until `count` mails are sent in the database at `url`."""
    with psycopg.connect(url, autocommit=True) as connection:
        watch(connection, MAILS_SENT, lambda sent: sent >= count, progress)


def watch(
    connection: Connection,
    query: LiteralString,
    reached: Callable[[int], bool],
    progress: Progress,
) -> int:
    """Query a number until it is `reached`; returns it. Raises `NoProgress`."""
    last, changed = None, time.perf_counter()
    while not reached(now := number(connection, query)):
        if now != last:
            last, changed = now, time.perf_counter()
            progress(now)
        elif time.perf_counter() - changed > PATIENCE:
            raise NoProgress(f"still {now} after {PATIENCE:.0f} s:\n{query.strip()}")
        time.sleep(LOOK_EVERY)
    progress(now)
    return now


def number(connection: Connection, query: LiteralString) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
