"""The mails that connections have in hand, each since when and with its lease."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from .connection import Connection, Ended, Given
from .connections import SLOW
from .lease import renew


class Handed(NamedTuple):
    connection: Connection
    given: Given
    since: float
    """A moment before it was claimed, by the monotonic clock."""


class InHand:
    """For one thread: that of the run."""

    def __init__(self) -> None:
        self._mails: dict[UUID, Handed] = {}

    def __len__(self) -> int:
        return len(self._mails)

    @property
    def ids(self) -> Collection[UUID]:
        return self._mails.keys()

    @property
    def are_slow(self) -> bool:
        """Whether the answer to one is slow."""
        return bool(self.older_than(SLOW))

    def give(self, connection: Connection, given: Given, since: float) -> None:
        self._mails[given.intent.pk] = Handed(connection, given, since)
        connection.give(given)

    def take_back(self, ended: Ended) -> bool:
        """Whether it was in hand: one that was given up is not."""
        handed = self._mails.get(ended.given.intent.pk)
        if handed is None or handed.given is not ended.given:
            return False
        self.forget(handed)
        return True

    def older_than(self, seconds: float) -> list[Handed]:
        since = time.monotonic() - seconds
        return [handed for handed in self._mails.values() if handed.since < since]

    def forget(self, handed: Handed) -> None:
        del self._mails[handed.given.intent.pk]

    def renew(self) -> None:
        """Call it often; leases are renewed when they are due. Raises a database error."""
        renew(handed.given.lease for handed in self._mails.values())
