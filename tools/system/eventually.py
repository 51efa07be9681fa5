"""Waits for a condition, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_EVERY = 0.05


def eventually(
    look: Callable[[], T], wanted: Callable[[T], object] = bool, *, within: float = 30.0
) -> T:
    """Call `look` until its result is `wanted`; returns that result.

    After `within` seconds, raises `AssertionError` with the last result.
    """
    deadline = time.monotonic() + within
    while not wanted(seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:.0f} s; last result: {seen!r}")
        time.sleep(LOOK_EVERY)
    return seen
