"""How fast the mail worker hands mails to an SMTP server that takes them at once."""

from __future__ import annotations

import time

import psycopg

from .databases import number
from .drain import LOOK_EVERY, Drained, Progress, Stuck

SENT = "SELECT count(*) FROM access_codes_mailintent WHERE state = 'sent'"
FIRST = 50
"""Mails before the clock starts: the worker has connected and found its rhythm."""

PATIENCE = 20.0


def sent(url: str, count: int, progress: Progress) -> Drained:
    """Watch the mails in the database at `url` until `count` have been sent since the first few."""
    with psycopg.connect(url, autocommit=True) as connection:
        before, start = _wait_for(connection, FIRST, lambda _: None)
        after, end = _wait_for(connection, before + count, progress)
    return Drained(after - before, end - start)


def _wait_for(
    connection: psycopg.Connection[tuple[int]], count: int, progress: Progress
) -> tuple[int, float]:
    deadline = time.perf_counter() + PATIENCE
    last = 0
    while (now_sent := number(connection, SENT)) < count:
        if now_sent > last:
            last, deadline = now_sent, time.perf_counter() + PATIENCE
            progress(now_sent)
        if time.perf_counter() > deadline:
            raise Stuck(f"{now_sent} mails sent and no more for {PATIENCE:.0f} s")
        time.sleep(LOOK_EVERY)
    return now_sent, time.perf_counter()
