"""Which tasks a service has, and how often each runs: its wiring's, and the pruning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from celery import Celery

from admit_one.wiring import wired

Schedule = Mapping[Callable[[], object], float]
"""Seconds between two runs, by the function that is the task. It takes no arguments."""

WAKE_UP_SECONDS = 60
"""After this a wake-up is worthless: the sweeps have looked at the rows since."""

SENT_TWICE = {"retry": True, "retry_policy": {"max_retries": 1, "interval_start": 0}}
"""Beat keeps one producer for ever, and only a second try gives it a new connection."""

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
"""The last run as beat sees it at its start: a restarted service looks at its rows at once."""


def add_tasks(app: Celery) -> None:
    """Make each function of the schedule a task, named after the service and itself."""
    # It reads models: by now Django's apps are ready.
    from . import pruning  # noqa: PLC0415

    schedule: Schedule = {**wired("SCHEDULE", {}), pruning.prune: pruning.EVERY}
    entries = {f"{app.main}.{task.__name__}": (task, every) for task, every in schedule.items()}
    for name, (task, _) in entries.items():
        app.task(name=name)(task)
    app.conf.update(
        beat_schedule={name: _entry(name, every) for name, (_, every) in entries.items()}
    )


def _entry(name: str, every: float) -> dict[str, Any]:
    return {
        "task": name,
        "schedule": every,
        "last_run_at": LONG_AGO,
        "options": {"expires": min(every, WAKE_UP_SECONDS), **SENT_TWICE},
    }
