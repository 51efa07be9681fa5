"""How long to wait before the next try: pure arithmetic."""

from __future__ import annotations

import random


def next_delay(attempt: int, *, first: float, most: float) -> float:
    """Seconds to wait after try number `attempt` (from 1): doubling, jittered, at most `most`.

    The jitter takes away up to half, so that many who failed together do not return together.
    """
    doubled = first * 2.0 ** min(attempt - 1, 30)
    return min(doubled, most) * random.uniform(0.5, 1.0)  # noqa: S311 (no secret depends on it)
