"""How long a backlog takes until its last subscription is active."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import LiteralString

import psycopg

from .databases import number

LOOK_EVERY = 0.05
"""Seconds between two counts of what still waits: how far off the time may be."""

PATIENCE = 30.0
"""Seconds without any progress after which the measurement gives up."""

Progress = Callable[[int], None]


class Stuck(Exception):
    """What is measured makes no progress any more."""


@dataclass(frozen=True)
class Drained:
    """`count` subscriptions became active in `seconds`."""

    count: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.count / self.seconds


def until_active(url: str, waiting: LiteralString, count: int, progress: Progress) -> Drained:
    """Time until the query `waiting`, in the database at `url`, counts no subscription any more."""
    start = changed = time.perf_counter()
    before = count
    with psycopg.connect(url, autocommit=True) as connection:
        while left := number(connection, waiting):
            now = time.perf_counter()
            if left != before:
                before, changed = left, now
                progress(count - left)
            elif now - changed > PATIENCE:
                raise Stuck(f"{left} of {count} subscriptions still wait after {PATIENCE:.0f} s")
            time.sleep(LOOK_EVERY)
    progress(count)
    return Drained(count, time.perf_counter() - start)
