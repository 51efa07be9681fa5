"""Results of attempts, kept until the database has taken them; with them, it gives new mails.

One result that cannot be written costs no other.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from admit_one.database.outage import DATABASE_ERRORS
from admit_one.messaging.inbox import database_works
from django.db import connection, transaction

from access_codes.models import MailIntent

from . import claims, faults, finishing
from .attempt import AGAIN, Attempt, Ending
from .claims import Claimed

WAIT_FOR_A_ROW = 1.0
"""Seconds to wait for a row that somebody else has locked, after the first time."""

ALONE_AGAIN = 5.0
"""Seconds between two attempts to write results that the database did not take."""

LONGEST_KEPT = 600.0
"""Seconds after which such a result is dropped: then the mail is in doubt."""


class _Result(NamedTuple):
    intent: MailIntent
    attempt: Attempt
    since: float


class Results:
    """For one thread: that of the run."""

    def __init__(self) -> None:
        self.attempts = 0
        """How many mails were tried."""
        self._kept: list[_Result] = []
        self._refused: list[_Result] = []
        """Those that the database did not take, though it works: of rows that somebody locks."""
        self._alone_at = 0.0
        self._due_again_at = 0.0

    @property
    def rest(self) -> float:
        """Seconds until mails are due that wait for a moment only."""
        return max(0.0, self._due_again_at - time.monotonic())

    def keep(self, intent: MailIntent, attempt: Attempt) -> None:
        self.attempts += attempt.ending is not Ending.NOT_TRIED
        self._kept.append(_Result(intent, attempt, time.monotonic()))
        if attempt.pause == AGAIN:
            self._due_again_at = time.monotonic() + AGAIN

    def write(self, room: int, in_hand: Collection[UUID], *, held: bool) -> Claimed:
        """In one transaction: write what is kept, and claim up to `room` mails.

        Raises a database error if the database is away: then all is kept.
        """
        if self._refused and time.monotonic() > self._alone_at:
            self._kept, self._refused = self._kept + self._refused, []
            self._write_alone(held=held)
        if not (self._kept or room):
            return Claimed()
        claimed = Claimed()
        try:
            with transaction.atomic():
                finishing.finish_all(_pairs(self._kept), held=held)
                if room:
                    claimed = claims.take(room, but=in_hand)
        except Exception as error:
            # If only the answer of the commit was lost, they are ours, and nobody has them in hand.
            self._release(claimed)
            if _is_away(error) or not self._kept:
                raise
            self._write_alone(held=held)
            return Claimed()
        self._kept = []
        return claimed

    def _release(self, claimed: Claimed) -> None:
        for intent in claimed.mails:
            self.keep(intent, Attempt(Ending.NOT_TRIED, ""))

    def _write_alone(self, *, held: bool) -> None:
        """Write each in a transaction of its own, and keep what the database does not take."""
        while self._kept:
            fault = self._fault_of(self._kept[0], held=held)
            result = self._kept.pop(0)
            if fault is None:
                continue
            is_old = time.monotonic() - result.since > LONGEST_KEPT
            if isinstance(fault, DATABASE_ERRORS) and not is_old:
                self._refused.append(result)
            else:
                faults.log_dropped(result.intent, str(result.attempt.ending), fault)
        self._alone_at = time.monotonic() + ALONE_AGAIN

    def _fault_of(self, result: _Result, *, held: bool) -> Exception | None:
        try:
            with transaction.atomic():
                _wait_for_a_row(WAIT_FOR_A_ROW)
                finishing.finish_all(_pairs([result]), held=held)
        except Exception as error:
            if _is_away(error):
                raise
            return error
        return None


def _pairs(results: Collection[_Result]) -> list[tuple[MailIntent, Attempt]]:
    return [(intent, attempt) for intent, attempt, _ in results]


def _wait_for_a_row(seconds: float) -> None:
    """In this transaction. SQLite has no locks of rows."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{seconds}s"])


def _is_away(error: Exception) -> bool:
    return isinstance(error, DATABASE_ERRORS) and not database_works()
