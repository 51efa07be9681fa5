"""Who listens to what, read every few seconds: without endpoints, what happens costs no query.

So an endpoint hears of what happens five seconds after it was made, and a deleted one may get
deliveries for as long, which nobody sends.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from admit_one.database import prepared

KEPT = 5.0
"""Seconds after which the endpoints are read again."""

ENABLED = """
    SELECT id, client, test, events FROM webhooks_endpoint
    WHERE disabled_at IS NULL AND deleted_at IS NULL
"""


class Listener(NamedTuple):
    """An endpoint that listens to a type."""

    endpoint_id: UUID
    client: str
    test: bool


class _Read(NamedTuple):
    by_type: Mapping[str, Sequence[Listener]]
    at: float


NEVER, NOBODY = _Read({}, float("-inf")), _Read({}, float("inf"))


class Listeners:
    """The enabled endpoints, by the types that they listen to."""

    def __init__(self) -> None:
        self._read = NEVER

    def to(self, event: str) -> Sequence[Listener]:
        """The endpoints that listen to this type. Raises a database error."""
        read, now = self._read, time.monotonic()
        if now - read.at >= KEPT:
            read = self._read = _Read(_by_type(), now)  # as of before the query
        return read.by_type.get(event, ())

    def assume(self, read: _Read) -> None:
        self._read = read

    def forget(self) -> None:
        """Read them again for the next event: after a change here, and in tests."""
        self.assume(NEVER)


def _by_type() -> dict[str, list[Listener]]:
    by_type: dict[str, list[Listener]] = {}
    # It reads only, so a transaction that is sent at its end need not begin for it.
    with prepared.cursor(begin=False) as cursor:
        cursor.execute(ENABLED)
        for row_id, client, test, events in cursor.fetchall():
            listener = Listener(UUID(str(row_id)), client, bool(test))
            for event in json.loads(events) if isinstance(events, str) else events:
                by_type.setdefault(event, []).append(listener)
    return by_type


listeners = Listeners()
