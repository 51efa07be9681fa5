"""Waiting for a fact, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_EVERY = 0.05


def eventually(
    look: Callable[[], T], wanted: Callable[[T], object] = bool, *, within: float = 30.0
) -> T:
    """What `look` returns as soon as it is `wanted`.

    Raises `AssertionError` with what was seen last after `within` seconds.
    """
    deadline = time.monotonic() + within
    while not wanted(seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {within:.0f} s; seen last: {seen!r}")
        time.sleep(LOOK_EVERY)
    return seen
