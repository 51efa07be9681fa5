"""The types that contenders and measurements share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import LiteralString

Progress = Callable[[int], None]
"""Called with the number done so far."""


class NoProgress(Exception):
    """A contender has stopped making progress, or refuses a request."""


@dataclass(frozen=True)
class Drained:
    """`count` subscriptions or mails, done in `seconds`."""

    count: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.count / self.seconds


@dataclass(frozen=True)
class RunningContender:
    """A running, idle contender.

    `has_code` is a query that finds a row once the subscription with that id has its code.
    """

    web_url: str
    database_url: str
    has_code: LiteralString
    api_key: str = ""
    codes: tuple[str, ...] = ()
    """Codes that let in, any number of times."""
