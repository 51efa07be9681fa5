"""Routing keys to which no queue is bound: their rows wait, and one at a time probes the key."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

FIRST_PROBE, LAST_PROBE = 1.0, 5.0
"""Seconds between two probes of a closed routing key."""


@dataclass
class ClosedKey:
    pause: float
    probe_at: float


class ClosedKeys:
    """The closed keys that one relay knows. Rows are not to blame, so no attempt is counted."""

    def __init__(self) -> None:
        self._closed: dict[str, ClosedKey] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._closed)

    def __len__(self) -> int:
        return len(self._closed)

    def close(self, key: str) -> bool:
        """Note that no queue is bound to `key`; returns whether that is new."""
        if key in self._closed:
            return False
        self._closed[key] = ClosedKey(FIRST_PROBE, time.monotonic() + FIRST_PROBE)
        return True

    def open(self, key: str) -> bool:
        """Note that a queue is bound to `key`; returns whether that is new."""
        return self._closed.pop(key, None) is not None

    def to_probe(self) -> Iterator[str]:
        """The keys that are due for a probe. Each call schedules the next one."""
        now = time.monotonic()
        for key, closed in self._closed.items():
            if closed.probe_at <= now:
                closed.pause = min(closed.pause * 2, LAST_PROBE)
                closed.probe_at = now + closed.pause
                yield key
