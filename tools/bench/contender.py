"""What the bench asks of everything that it measures."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import LiteralString, Protocol

Progress = Callable[[int], None]
"""Called with how much is done so far."""


class Stuck(Exception):
    """What is measured makes no progress any more."""


@dataclass(frozen=True)
class Drained:
    """`count` of something done in `seconds`."""

    count: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.count / self.seconds


@dataclass(frozen=True)
class Running:
    """A contender that runs and does nothing yet.

    `has_code` is a query that finds a row once the subscription of that id has its code.
    """

    web_url: str
    database_url: str
    has_code: LiteralString
    api_key: str = ""


class Contender(Protocol):
    """One way to bring subscriptions to their codes."""

    name: str
    """As in the report's columns."""

    def prepare(self) -> None:
        """Make what every measurement starts from: the two databases, empty."""

    def prepare_backlog(self, count: int) -> None:
        """Make `count` subscriptions that are recorded, and not published yet."""

    def drain(self, progress: Progress) -> Drained:
        """Run everything but the mails on the backlog until its last subscription is active.

        Raises `Stuck`.
        """


class WebContender(Contender, Protocol):
    """One that takes subscriptions over HTTP as well."""

    def running(self) -> AbstractContextManager[Running]:
        """All processes, ready, on empty databases."""

    def web_alone(self) -> AbstractContextManager[Running]:
        """The web process and no other, ready, on empty databases."""
