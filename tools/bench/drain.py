"""How long a backlog takes until its last subscription is active."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import LiteralString

import psycopg

from .contender import Drained, Progress, Stuck
from .databases import Connection, number

LOOK_EVERY = 0.05
"""Seconds between two counts: how far off the time may be."""

PATIENCE = 30.0
"""Seconds without any progress after which the measurement gives up."""


def until_active(url: str, waiting: LiteralString, count: int, progress: Progress) -> Drained:
    """Time until the query `waiting`, in the database at `url`, counts no subscription any more."""
    start = time.perf_counter()
    with psycopg.connect(url, autocommit=True) as connection:
        watch(connection, waiting, lambda left: left == 0, lambda left: progress(count - left))
        return Drained(count, time.perf_counter() - start)


def watch(
    connection: Connection,
    query: LiteralString,
    reached: Callable[[int], bool],
    progress: Progress,
) -> int:
    """Query a number until it is `reached`; returns it. Raises `Stuck` when it stands still."""
    last, changed = None, time.perf_counter()
    while not reached(now := number(connection, query)):
        if now != last:
            last, changed = now, time.perf_counter()
            progress(now)
        elif time.perf_counter() - changed > PATIENCE:
            raise Stuck(f"still {now} after {PATIENCE:.0f} s:\n{query.strip()}")
        time.sleep(LOOK_EVERY)
    progress(now)
    return now
