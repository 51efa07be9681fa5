"""A trouble is logged once, not at every try, and so is its end."""

from __future__ import annotations

import time
from typing import Any

from admit_one.logs import EventLogger

logger = EventLogger(__name__)

REMINDER = 60.0
"""Seconds between two lines about one trouble."""


class Announcer:
    """Logs one kind of trouble: when it begins, every `REMINDER` seconds, and when it is over."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._logged_at = 0.0

    def trouble(self, event: str, sentence: str, **fields: Any) -> None:
        now = time.monotonic()
        if self._since is None:
            self._since = now
        elif now - self._logged_at < REMINDER:
            return
        self._logged_at = now
        logger.warning(event, sentence, **fields)

    def over(self, event: str, sentence: str, **fields: Any) -> None:
        if self._since is not None:
            seconds = time.monotonic() - self._since
            logger.warning(event, sentence + " after {seconds:.0f} s", seconds=seconds, **fields)
            self._since = None
