"""Which processes descend from another, and which still run: from /proc, so on Linux only."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

ENDED = {"Z", "X"}
"""States of a process that has ended, whether or not its parent has noticed."""


def descendants(pid: int) -> set[int]:
    """The children of a process, their children, and so on; empty where there is no /proc."""
    parents = {child: parent for child, (parent, state) in _all().items() if state not in ENDED}
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return family - {pid}


def running(pids: Collection[int]) -> set[int]:
    """Those of the processes that still run."""
    return {pid for pid, (_, state) in _all().items() if pid in pids and state not in ENDED}


def _all() -> dict[int, tuple[int, str]]:
    """The parent and the state of every process."""
    processes = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
            continue
        # A command's name, in parentheses, may hold anything.
        state, parent = text.rpartition(")")[2].split()[:2]
        processes[int(stat.parent.name)] = int(parent), state
    return processes
