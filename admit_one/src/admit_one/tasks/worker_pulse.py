"""Reports to the health port whether a Celery worker works.

The port is in the parent process, whatever the pool, so it reports what the parent sees.
"""

from __future__ import annotations

import time
from typing import Any

from celery import bootsteps, current_app, signals, states

from admit_one.masking import mask
from admit_one.messaging.broker import connection as broker
from admit_one.processes.announcer import Announcer
from admit_one.processes.pulse import pulse

BEAT_SECONDS = 5.0

LONGEST_TASK = 3600.0
"""Seconds; our longest wait is that for a mail server that filters a mail, at most 15 minutes."""

RECENT = 60.0
"""Seconds for which a failure is reported, unless its task succeeds sooner: some run rarely."""

NO_CONNECTION = "it has no connection to the broker"

_announcer = Announcer()


class Pulsing(bootsteps.StartStopStep):
    """Reports turns of the worker's loop to the pulse, and a lost connection to the broker.

    While the worker reconnects its loop does not run; that is no reason for a restart.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)
    _beating: Any = None
    """None until the first connection at which a queue was consumed."""

    def start(self, parent: Any) -> None:
        def beat() -> None:
            pulse.beat()
            if parent.connection is not None and parent.connection.connected:
                pulse.heard(broker.frames(parent.connection))

        pulse.trouble = ""
        pulse.connected()
        _announcer.over("process_works_again", "{process} works again", process=_process())
        beat()
        self._beating = parent.timer.call_repeatedly(BEAT_SECONDS, beat)

    def stop(self, parent: Any) -> None:  # noqa: ARG002 (Celery's signature)
        if self._beating is not None:
            self._beating.cancel()
        pulse.rest()
        if pulse.is_connected:  # else why it is not is known already
            pulse.disconnected(NO_CONNECTION)

    terminate = stop


def disconnected(error: Exception) -> None:
    """Report why there is no connection, or no queue, until there is one."""
    reason = mask(str(error)) or type(error).__name__
    pulse.rest()
    pulse.disconnected(f"it waits: {type(error).__name__}: {reason}")
    _announcer.trouble(
        "process_waits",
        "{process} waits: {error}: {reason}",
        process=_process(),
        error=type(error).__name__,
        reason=reason,
    )


def _process() -> str:
    return f"{current_app.main} tasks"


class TaskWatch:
    """Reports a task that failed or does not end, and `patience` seconds without a new one.

    Then beat or the pool is dead. While a task runs, none may come, as each of the worker's threads
    may wait for the same slow server.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._heard_at = time.monotonic()
        self._began: dict[str, float] = {}
        self._failed: dict[str, float] = {}

    def received(self, **_: Any) -> None:
        self._heard_at = time.monotonic()

    def began(self, task_id: str, **_: Any) -> None:
        self._began[task_id] = time.monotonic()

    def done(self, task_id: str, task: Any, state: str, **_: Any) -> None:
        self._began.pop(task_id, None)
        self._heard_at = time.monotonic()
        if state == states.SUCCESS:
            self._failed.pop(task.name, None)
        else:
            self._failed[task.name] = time.monotonic()

    def trouble(self) -> str:
        """Why the worker is not ready; empty if it is."""
        now = time.monotonic()
        failed = sorted(name for name, at in [*self._failed.items()] if now - at < RECENT)
        if failed:
            return f"{', '.join(failed)} failed: see the log"
        if began := list(self._began.values()):
            busy = now - min(began)
            return f"a task has been running for {busy:.0f} s" if busy > LONGEST_TASK else ""
        silent = now - self._heard_at
        if silent > self._patience:
            return f"no task arrived for {silent:.0f} s: is beat running?"
        return ""


def watch_tasks(patience: float) -> None:
    """Let the pulse report what `TaskWatch` sees."""
    pulse.rest()
    watch = TaskWatch(patience)
    signals.task_received.connect(watch.received, weak=False)
    signals.task_prerun.connect(watch.began, weak=False)
    signals.task_postrun.connect(watch.done, weak=False)
    pulse.checks.append(watch.trouble)
