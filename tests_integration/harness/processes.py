"""Who descends from a process, as the kernel tells (Linux)."""

from __future__ import annotations

from pathlib import Path

DEAD = {"Z", "X"}


def descendants(pid: int) -> set[int]:
    """Children, their children, and so on."""
    parents = {child: parent for child, (parent, state) in _all().items() if state not in DEAD}
    found: set[int] = set()
    while more := {child for child, parent in parents.items() if parent in {pid, *found}} - found:
        found |= more
    return found


def alive(pids: set[int]) -> set[int]:
    """Those that still run."""
    return {pid for pid, (_, state) in _all().items() if pid in pids and state not in DEAD}


def _all() -> dict[int, tuple[int, str]]:
    """The parent and the state of every process."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
            continue
        state, parent = text.rpartition(")")[2].split()[:2]
        found[int(stat.parent.name)] = int(parent), state
    return found
