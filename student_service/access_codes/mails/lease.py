"""A worker's lease on a mail: short, and renewed for as long as its worker waits for the server.

So the mail of a killed worker waits only seconds, and that of a slow server as long as it takes.
"""

from __future__ import annotations

import time

from admit_one.database.outage import DATABASE_ERRORS, forget_connection
from admit_one.tasks import stopping
from django.conf import settings

from access_codes.models import MailIntent


def seconds() -> float:
    """After twice the time that a mail takes up to its final dot, its worker must be dead."""
    return 2.0 * settings.EMAIL_TIMEOUT


class Lease:
    """The lease on a claimed mail while it is handed over."""

    def __init__(self, intent: MailIntent) -> None:
        self._intent = intent
        self._handed_over_at = self._renewed_at = time.monotonic()

    def hand_over(self) -> bool:
        """Call it before the final dot; False if another worker has the mail, which forbids it."""
        self._handed_over_at = time.monotonic()
        return self._intent.hand_over(seconds())

    def keep(self) -> bool:
        """Call it often while the server is silent; False if the worker must wait no longer."""
        now = time.monotonic()
        if stopping.is_set() and now - self._handed_over_at > settings.EMAIL_TIMEOUT:
            return False
        if now - self._renewed_at > settings.EMAIL_TIMEOUT / 2:
            self._renewed_at = now
            try:
                return self._intent.renew(seconds())
            except DATABASE_ERRORS:  # the answer is worth more than the lease
                forget_connection()
        return True
