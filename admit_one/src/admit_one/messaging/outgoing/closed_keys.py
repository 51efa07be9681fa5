"""Routing keys to which nobody is bound: their rows wait, and one at a time is tried."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

FIRST_PROBE, LAST_PROBE = 1.0, 5.0
"""Seconds between two looks whether anybody is bound to a closed routing key by now."""


@dataclass
class ClosedKey:
    pause: float
    probe_at: float


class ClosedKeys:
    """What one relay knows of them. A wait for a binding is no fault of a row: none is counted."""

    def __init__(self) -> None:
        self._closed: dict[str, ClosedKey] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._closed)

    def __len__(self) -> int:
        return len(self._closed)

    def close(self, key: str) -> bool:
        """Nobody is bound to `key`; returns whether that is new."""
        if key in self._closed:
            return False
        self._closed[key] = ClosedKey(FIRST_PROBE, time.monotonic() + FIRST_PROBE)
        return True

    def open(self, key: str) -> bool:
        """Somebody is bound to `key`; returns whether that is new."""
        return self._closed.pop(key, None) is not None

    def to_probe(self) -> Iterator[str]:
        """The keys for which it is time to try a row. Each look sets the time of the next one."""
        now = time.monotonic()
        for key, closed in self._closed.items():
            if closed.probe_at <= now:
                closed.pause = min(closed.pause * 2, LAST_PROBE)
                closed.probe_at = now + closed.pause
                yield key
