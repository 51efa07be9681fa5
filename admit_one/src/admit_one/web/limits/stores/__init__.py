"""Where the counts of all processes are added up: in the database, or in Redis (`LIMITS_URL`).

Each store is a module or an object with what `Store` says, and knows nothing of limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from admit_one.web.limits.counts import Tally

from . import in_database


class Store(Protocol):
    """All times are its own, because the clocks of processes differ."""

    @property
    def PLACE(self) -> str:  # noqa: N802 (a module has it as a constant)
        """What it is, for people."""

    @property
    def OUTAGE_ERRORS(self) -> tuple[type[Exception], ...]:  # noqa: N802
        """What its methods raise while it is unavailable."""

    def add(self, uncounted: Sequence[Tally]) -> tuple[list[Tally], float]:
        """Add what a process has counted; returns the totals of all processes, and the time.

        If it raises, nothing is added; or all of it, if the answer was lost.
        """

    def prune(self, before: int) -> None:
        """Forget minutes before this one, unless that happens by itself."""

    def forget_connection(self) -> None:
        """Close the connection; the next use opens another."""


def chosen() -> Store:
    """The store of this process."""
    url = getattr(settings, "LIMITS_URL", None)
    return _in_redis(url) if url else in_database


@cache
def _in_redis(url: str) -> Store:
    # Its library is an extra, which only this setting needs.
    store: Store = import_string(f"{__name__}.in_redis.RedisStore")(url)
    return store
