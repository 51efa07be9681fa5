"""Distinguishes a failed step from an outage by probing the database, and waits out outages.

The error's class is not enough: a deadlock and an outage are both OperationalError, and a
fail-over to a read-only server is an InternalError.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, connection

from admit_one.processes.stopping import next_delay

DATABASE_ERRORS = (DatabaseError, InterfaceError)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds between two attempts while something is unavailable."""

OWN_FAILURES = 2
"""Consecutive failures, each with a database that works, after which the step is at fault."""

T = TypeVar("T")


class NotNow(Exception):
    """A step cannot be done now, through no fault of its own; nothing of it was written."""


def outlast(
    step: Callable[[], T],
    wait: Callable[[float, Exception], object],
    *,
    works: Callable[[], bool] | None = None,
    at_most: float = math.inf,
    outage_errors: tuple[type[Exception], ...] = DATABASE_ERRORS,
    steady: float = math.inf,
) -> T:
    """Do `step`; while the database is unavailable, repeat it with growing pauses.

    `wait(seconds, error)` makes each pause, and may end the loop by raising.
    `works` returns whether the database works, for a step that can fail by its own fault. After
    two failures in a row with a database that works, the step's error is raised; a single one may
    be the last of an outage that has just ended.
    Without `works`, every one of `outage_errors` means that something is unavailable.
    Raises `NotNow` when that lasts longer than `at_most` seconds.
    A step that ran for `steady` seconds before it failed begins a new outage.
    """
    failures, own, since = 0, 0, time.monotonic()
    while True:
        began = time.monotonic()
        try:
            return step()
        except outage_errors as error:
            forget_connection()
            failed = time.monotonic()
            if works is not None and works():
                own += 1
                if own == OWN_FAILURES:
                    raise
                continue
            if failed - began > steady:
                failures, since = 0, failed
            failures, own = failures + 1, 0
            if failed - since > at_most:
                raise NotNow(f"the database is unavailable ({type(error).__name__})") from error
            wait(next_delay(failures, first=FIRST_PAUSE, most=LONGEST_PAUSE), error)


def forget_connection() -> None:
    """Drop this thread's database connection; the next query makes a new one."""
    with suppress(*DATABASE_ERRORS):
        connection.close()


def why_not_writable() -> str:
    """Why this thread's connection cannot write, or nothing; then it is dropped.

    Raises a database error: nobody answers.
    """
    ask = "SELECT current_setting('transaction_read_only')"
    with connection.cursor() as cursor:
        cursor.execute(ask if connection.vendor == "postgresql" else "SELECT 'off'")
        [read_only] = cursor.fetchone()
    if read_only == "off":
        return ""
    forget_connection()
    return "the database is read-only"


def refresh_connection() -> None:
    """Drop a connection that is too old; call it before each unit of work.

    Django's own health check would cost a query. The first statement shows as much, and relay and
    consumer repeat their work if it fails.
    """
    if connection.close_at is not None and time.monotonic() >= connection.close_at:
        connection.close()
