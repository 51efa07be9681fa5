"""For the tests of a service with an API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .limits import sharing
from .limits.counts import Counts


@contextmanager
def counting_alone() -> Iterator[None]:
    """In this block, requests are counted from zero, and in this process only.

    The thread that shares counts has a connection of its own: it would not see what a test has
    not committed, and would wait for the test's locks.
    """
    kept = vars(sharing).copy()
    sharing.keys, sharing.addresses, sharing.together = Counts(), Counts(), Counts()
    sharing.sharer = _Alone()
    try:
        yield
    finally:
        for name in ("keys", "addresses", "together", "sharer"):
            setattr(sharing, name, kept[name])


class _Alone(sharing.Sharer):
    def soon(self) -> None:
        """Nothing: no thread is started."""
