"""Garbage collection in a process that lives long and makes many short-lived objects."""

from __future__ import annotations

import gc

BETWEEN_COLLECTIONS = 20_000
"""Objects. A batch of messages makes so many that live until its end: collecting after each 700 of
them, as CPython does, takes a tenth of the process's time and frees nothing."""


def collect_rarely() -> None:
    """Call it when all modules are imported: what exists then is never searched for garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(BETWEEN_COLLECTIONS)
