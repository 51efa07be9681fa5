"""How a Celery worker reports whether it works, for `messaging.health`.

The port belongs to the parent process, whatever the pool, so it reports only what the parent sees.
"""

from __future__ import annotations

import time
from typing import Any

from celery import bootsteps, signals, states

from admit_one.messaging.broker import connection as broker
from admit_one.processes.pulse import pulse

BEAT_SECONDS = 5.0


class Pulsing(bootsteps.StartStopStep):
    """Tell the pulse that the worker's loop comes round, and when it has lost its broker.

    While it looks for its broker it has no loop to come round, and is no reason for a restart.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, parent: Any) -> None:
        def beat() -> None:
            pulse.beat()
            if parent.connection is not None and parent.connection.connected:
                pulse.heard(broker.frames(parent.connection))

        pulse.trouble = ""
        pulse.connected()
        beat()
        self._beating = parent.timer.call_repeatedly(BEAT_SECONDS, beat)

    def stop(self, parent: Any) -> None:  # noqa: ARG002 (Celery's signature)
        self._beating.cancel()
        pulse.rest()
        pulse.disconnected("it has no connection to the broker")

    terminate = stop


def watch_tasks(patience: float) -> None:
    """Let the pulse report when one fails, and when none comes for so many seconds.

    Then beat is dead, or the pool is: a worker takes the next only when it is done with one.
    """
    pulse.rest()
    came_at = time.monotonic()

    @signals.task_received.connect(weak=False)
    def _came(**_: Any) -> None:
        nonlocal came_at
        came_at = time.monotonic()

    @signals.task_postrun.connect(weak=False)
    def _done(task: Any, state: str, **_: Any) -> None:
        pulse.trouble = "" if state == states.SUCCESS else f"{task.name} failed: see the log"

    def missing() -> str:
        silent = time.monotonic() - came_at
        return f"no task has come for {silent:.0f} s: does beat run?" if silent > patience else ""

    pulse.checks.append(missing)
