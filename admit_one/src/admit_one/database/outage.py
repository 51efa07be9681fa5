"""Whose fault is a failed step: its own, or that of a database that is away? The database is asked.

The class of an error does not show it: a deadlock and an outage are both OperationalError, and a
fail-over to a read-only server is an InternalError.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, connection, transaction

from admit_one.processes.backoff import next_delay

DATABASE_ERRORS = (DatabaseError, InterfaceError)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds between two tries while something is away."""

T = TypeVar("T")


class LetGo(Exception):
    """A step cannot be done now, through no fault of its own. Nothing of it is written."""


def outlast(
    step: Callable[[], T],
    wait: Callable[[float, Exception], object],
    *,
    works: Callable[[], bool] | None = None,
    at_most: float = math.inf,
    away: tuple[type[Exception], ...] = DATABASE_ERRORS,
    steady: float = math.inf,
) -> T:
    """Do `step`; as long as the database is away, do it again, with growing pauses.

    `wait(seconds, error)` makes each pause, and may end the loop by raising.
    `works` returns whether the database works, for a step that can fail by its own fault: it is
    tried once more on a new connection, and when it fails again although the database works,
    its error is raised. Without `works`, every error of `away` means that something is away.
    Raises `LetGo` when that lasts longer than `at_most` seconds.
    A step that ran for `steady` seconds before it failed begins a new outage.
    """
    failures, since = 0, time.monotonic()
    while True:
        began = time.monotonic()
        try:
            return step()
        except away as error:
            forget_connection()
            failed = time.monotonic()
            if failed - began > steady:
                failures, since = 0, failed
            failures += 1
            if works is not None:
                if failures == 1:
                    continue
                if works():
                    raise
            if failed - since > at_most:
                raise LetGo(f"the database is away ({type(error).__name__})") from error
            wait(next_delay(failures, first=FIRST_PAUSE, most=LONGEST_PAUSE), error)


def can_write(write: Callable[[], object]) -> bool:
    """Whether `write`, a small one, succeeds on a new connection. It is rolled back."""
    forget_connection()
    try:
        with transaction.atomic():
            write()
            transaction.set_rollback(True)
    except DATABASE_ERRORS:
        forget_connection()
        return False
    return True


def forget_connection() -> None:
    """Drop this thread's database connection; the next query makes a new one."""
    with suppress(*DATABASE_ERRORS):
        connection.close()


def refresh_connection() -> None:
    """Before each unit of work: drop a connection that is too old.

    Django would ask first whether it still works, with somebody waiting. The first statement
    shows that, and relay and consumer do their work again when it fails.
    """
    if connection.close_at is not None and time.monotonic() >= connection.close_at:
        connection.close()
