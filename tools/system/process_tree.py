"""The descendants of a process, and which processes are running."""

from __future__ import annotations

from collections.abc import Collection

import psutil

ENDED = {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
"""States of a process that has ended, even if its parent has not reaped it."""


def descendants(pid: int) -> set[int]:
    return {child.pid for child in psutil.Process(pid).children(recursive=True)}


def running(pids: Collection[int]) -> set[int]:
    states = {process.pid: process.info["status"] for process in psutil.process_iter(["status"])}
    return {pid for pid in pids if states.get(pid, psutil.STATUS_DEAD) not in ENDED}
