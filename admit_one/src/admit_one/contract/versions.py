"""Versions of what can be changed and undone: a reader keeps the highest."""

from __future__ import annotations

from datetime import datetime


def next_version(last: int, now: datetime) -> int:
    """The version after `last`: the milliseconds since 1970, or one more if that is not higher.

    A counter alone would give the same version to two different states, after a database was
    restored from a backup: the reader would keep the one that it saw first.
    """
    return max(last + 1, int(now.timestamp() * 1000))
