"""How fast the mail worker hands mails to an SMTP server that takes them at once."""

from __future__ import annotations

import time

import psycopg

from .contender import Drained, Progress
from .drain import watch

SENT = "SELECT count(*) FROM access_codes_mailintent WHERE state = 'sent'"
FIRST = 50
"""Mails before the clock starts: the worker has connected and found its rhythm."""


def sent(url: str, count: int, progress: Progress) -> Drained:
    """Watch the mails in the database at `url` until `count` have been sent since the first few."""
    with psycopg.connect(url, autocommit=True) as connection:
        before = watch(connection, SENT, lambda sent: sent >= FIRST, lambda _: None)
        start = time.perf_counter()
        after = watch(connection, SENT, lambda sent: sent >= before + count, progress)
        return Drained(after - before, time.perf_counter() - start)
