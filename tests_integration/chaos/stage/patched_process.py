"""A process of ours under chaos.

    python -m tests_integration.chaos.stage.patched_process FOLDER NAME BUG COMMAND…

Runs COMMAND (`manage.py …` or `-m module …`) in this very process, changed in three ways: it dies
by `kill -9` at a crash point that is armed, it waits less between retries, so that minutes are
enough for many of them, and it has the planted BUG ("-" for none).
Each change is made right after its module was loaded.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import os
import runpy
import signal
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from .crash_points import CRASH_POINTS, CrashPoint, armed
from .patched import LONGEST_PAUSE
from .planted_bugs import BUGS, Change

LONGEST_MAIL_PAUSE = 4.0
"""Seconds before another try of a mail, under chaos."""

RETRY_DELAYS = (1, 1, 1, 2)


class Changes(importlib.abc.MetaPathFinder):
    """Finds the modules that are to be changed, and changes them when they are loaded."""

    def __init__(self) -> None:
        self._changes: dict[str, list[Change]] = defaultdict(list)

    def add(self, module: str, change: Change) -> None:
        self._changes[module].append(change)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self._changes:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = Changing(spec.loader, self._changes[fullname])
                return spec
        return None


class Changing(importlib.abc.Loader):
    """Loads a module as its own loader does, then changes it."""

    def __init__(self, loader: importlib.abc.Loader, changes: Sequence[Change]) -> None:
        self._loader = loader
        self._changes = changes

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        for change in self._changes:
            change(module)


def deadly(point: CrashPoint, file: Path) -> Change:
    """Make the function of a crash point fatal as long as `file` is there."""

    def die_if_armed() -> None:
        try:
            file.unlink()
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    def change(module: ModuleType) -> None:
        owner, _, name = point.patched.name.rpartition(".")
        place: Any = getattr(module, owner) if owner else module
        original: Callable[..., Any] = getattr(place, name)

        @functools.wraps(original)
        def replaced(*args: Any, **kwargs: Any) -> Any:
            if point.before:
                die_if_armed()
            result = original(*args, **kwargs)
            die_if_armed()
            return result

        setattr(place, name, replaced)

    return change


def retry_mails_sooner(module: ModuleType) -> None:
    """Try a mail again within seconds."""
    setattr(module, LONGEST_PAUSE.name, LONGEST_MAIL_PAUSE)


def retry_messages_sooner(settings: ModuleType) -> None:
    """Retry set-aside messages within seconds."""
    settings.MESSAGING["RETRY_DELAYS"] = RETRY_DELAYS


def main() -> None:
    folder, name, bug, *command = sys.argv[1:]
    changes = Changes()
    for service in ("payment_service", "student_service"):
        changes.add(f"{service}.settings", retry_messages_sooner)
    changes.add(LONGEST_PAUSE.module, retry_mails_sooner)
    for key, point in CRASH_POINTS.items():
        if name.partition("#")[0] in point.processes:
            changes.add(point.patched.module, deadly(point, armed(Path(folder), name, key)))
    if bug != "-":
        changes.add(*BUGS[bug])
    sys.meta_path.insert(0, changes)
    if command[0] == "-m":
        sys.argv = command[1:]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    main()
