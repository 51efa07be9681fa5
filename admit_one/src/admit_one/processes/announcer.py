"""A trouble is logged once, not at every try, and so is its end."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger(__name__)

REMINDER = 60.0
"""Seconds between two lines about one trouble."""


class Announcer:
    """Logs one kind of trouble: when it begins, every `REMINDER` seconds, and when it is over."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._logged_at = 0.0

    def trouble(self, text: str) -> None:
        now = time.monotonic()
        if self._since is None:
            self._since = now
        elif now - self._logged_at < REMINDER:
            return
        self._logged_at = now
        logger.warning("%s", text)

    def over(self, text: str) -> None:
        if self._since is not None:
            logger.warning("%s after %.0f s", text, time.monotonic() - self._since)
            self._since = None
