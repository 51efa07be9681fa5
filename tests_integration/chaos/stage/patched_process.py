"""A process of the product under chaos.

    python -m tests_integration.chaos.stage.patched_process FOLDER NAME BUG COMMAND…

Runs COMMAND (`manage.py …` or `-m module …`) in this process, with three changes: it kills itself
at an armed crash point, it waits less between retries, so that a few minutes suffice, and it has
the planted BUG ("-" for none).
Each module is changed right after it is imported.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import wrapt

from .crash_points import CRASH_POINTS, CrashPoint, armed
from .patched import FIRST_PAUSE, LEASE, LONGEST_PAUSE
from .planted_bugs import BUGS, Change

LONGEST_MAIL_PAUSE = 4.0
"""Seconds before another attempt to send a mail."""

FIRST_WEBHOOK_PAUSE = 1.0
"""Seconds before another attempt to send a webhook."""

WEBHOOK_LEASE = 15.0
"""Seconds after which the worker of an attempt, which takes ten at most, counts as dead."""

RETRY_DELAYS = (1, 1, 1, 2)


def deadly(point: CrashPoint, file: Path) -> Change:
    """Make the function of a crash point kill the process if `file` exists."""

    def die_if_armed() -> None:
        try:
            file.unlink()
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    def replaced(wrapped: Callable[..., Any], _: object, args: Any, kwargs: Any) -> Any:
        if point.before:
            die_if_armed()
        result = wrapped(*args, **kwargs)
        die_if_armed()
        return result

    def change(module: ModuleType) -> None:
        wrapt.wrap_function_wrapper(module, point.patched.name, replaced)

    return change


@wrapt.when_imported(LONGEST_PAUSE.module)
def retry_mails_sooner(module: ModuleType) -> None:
    setattr(module, LONGEST_PAUSE.name, LONGEST_MAIL_PAUSE)


@wrapt.when_imported(FIRST_PAUSE.module)
def retry_webhooks_sooner(module: ModuleType) -> None:
    setattr(module, FIRST_PAUSE.name, FIRST_WEBHOOK_PAUSE)


@wrapt.when_imported(LEASE.module)
def take_over_webhooks_sooner(module: ModuleType) -> None:
    setattr(module, LEASE.name, WEBHOOK_LEASE)


@wrapt.when_imported("payment_service.settings")
@wrapt.when_imported("student_service.settings")
def retry_messages_sooner(settings: ModuleType) -> None:
    settings.MESSAGING["RETRY_DELAYS"] = RETRY_DELAYS


def main() -> None:
    folder, name, bug, *command = sys.argv[1:]
    for key, point in CRASH_POINTS.items():
        if name.partition("#")[0] in point.processes:
            die = deadly(point, armed(Path(folder), name, key))
            wrapt.register_post_import_hook(die, point.patched.module)
    if bug != "-":
        module, change = BUGS[bug]
        wrapt.register_post_import_hook(change, module)
    if command[0] == "-m":
        sys.argv = command[1:]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    main()
