"""Results of attempts, kept until the database has taken them; with them, it gives new mails.

One mail that meets a fault of ours, or one result, costs no other.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from uuid import UUID

from admit_one.database.outage import DATABASE_ERRORS
from admit_one.messaging.inbox import database_works
from django.db import transaction

from access_codes.models import MailIntent

from . import claims, faults, finishing
from .attempt import Attempt, Ending

AGAIN = 1.0
"""Seconds that a mail waits if it was refused for the number of connections."""

Claimed = tuple[Sequence[MailIntent], bool]
"""Mails, and whether more may be due."""

NONE: Claimed = ([], False)


class Results:
    """For one thread: that of the run."""

    def __init__(self) -> None:
        self.attempts = 0
        """How many mails were tried."""
        self._kept: list[tuple[MailIntent, Attempt]] = []
        self._due_again_at = 0.0

    @property
    def rest(self) -> float:
        """Seconds until mails are due that were refused for the number of connections."""
        return max(0.0, self._due_again_at - time.monotonic())

    def keep(self, intent: MailIntent, attempt: Attempt) -> None:
        self.attempts += attempt.ending is not Ending.NOT_TRIED
        self._kept.append((intent, attempt))

    def write(self, room: int, in_hand: Collection[UUID], *, held: bool) -> Claimed:
        """In one transaction: write what is kept, and claim up to `room` mails.

        Raises a database error if the database is away: then all is kept.
        """
        if not (self._kept or room):
            return NONE
        try:
            with transaction.atomic():
                finishing.finish_all(self._kept, held=held)
                claimed = claims.take(room, but=in_hand) if room else NONE
        except claims.CannotBeHandled as fault:
            _put_off(fault)
            return [], True
        except Exception as error:
            if _is_away(error) or not self._kept:
                raise
            self._write_alone(held=held)
            return [], room > 0
        self._forget()
        return claimed

    def _forget(self) -> None:
        if any(attempt.pause == AGAIN for _, attempt in self._kept):
            self._due_again_at = time.monotonic() + AGAIN
        self._kept = []

    def _write_alone(self, *, held: bool) -> None:
        """Write each in a transaction of its own; what fails twice is dropped."""
        while self._kept:
            (intent, attempt), fault = self._kept[0], None
            for _ in range(2):
                if (fault := self._fault_of_first(held=held)) is None:
                    break
            if fault is not None:
                faults.log_dropped(intent, str(attempt.ending), fault)
            del self._kept[0]

    def _fault_of_first(self, *, held: bool) -> Exception | None:
        try:
            with transaction.atomic():
                finishing.finish_all(self._kept[:1], held=held)
        except Exception as error:
            if _is_away(error):
                raise
            return error
        return None


def _put_off(fault: claims.CannotBeHandled) -> None:
    """Let the mail wait that raised this. Raises a database error if the database is away."""
    cause = fault.__cause__
    if isinstance(cause, Exception) and _is_away(cause):
        raise cause
    faults.log(fault.intent, cause or fault)
    MailIntent.objects.put_off(fault.intent, faults.PAUSE)


def _is_away(error: Exception) -> bool:
    return isinstance(error, DATABASE_ERRORS) and not database_works()
