"""The peak memory of processes, as the kernel counts it."""

from __future__ import annotations

import re
from pathlib import Path

from tools.system.process_tree import descendants


def peaks(name: str, pid: int) -> dict[str, int]:
    """The peak resident memory (VmHWM) of a process and of its largest descendant, in bytes.

    Empty without /proc. Pages shared between processes count for each.
    """
    own = _peak(pid)
    if own is None:
        return {}
    children = [peak for child in descendants(pid) if (peak := _peak(child)) is not None]
    return {name: own} | ({f"{name} (child)": max(children)} if children else {})


def _peak(pid: int) -> int | None:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return None
    match = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
    return int(match[1]) * 1024 if match else None
