"""The processor time of processes, as the kernel counts it."""

from __future__ import annotations

import psutil


def seconds(pid: int) -> float:
    """User and system time so far of a process and of its running descendants."""
    process = psutil.Process(pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return float(sum(time.user + time.system for time in times))
