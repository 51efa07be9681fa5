"""Which tasks a service has, and how often each runs: those of its wiring, and pruning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from django.apps import apps

from admit_one.database.outage import NotNow
from admit_one.logs import EventLogger
from admit_one.messaging import conf, wake
from admit_one.wiring import wired

from . import outages, runs

logger = EventLogger(__name__)

Schedule = Mapping[Callable[[], object], float]
"""Seconds between two runs, by task: a function without arguments."""

WAKE_UP_SECONDS = 60
"""Seconds after which a wake-up expires: the sweeps have found the rows by then."""

RETRY_ONCE = {"retry": True, "retry_policy": {"max_retries": 1, "interval_start": 0}}
"""Beat keeps one producer forever, which gets a new connection only for a retry."""

PRUNE_EVERY = 3_600
"""Seconds between two runs."""

PRUNE_SECONDS = 2.0
"""A run is short, so that other tasks do not wait long for the worker."""

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
"""The last run, as beat sees it when it starts: so every task runs at once after a restart."""


def add_tasks(app: Celery) -> None:
    """Make each function of the schedule a task, named after the service and itself."""
    schedule: Schedule = {**wired("SCHEDULE", {}), prune: PRUNE_EVERY}
    entries = {f"{app.main}.{task.__name__}": (task, every) for task, every in schedule.items()}
    for name, (task, _) in entries.items():
        # What it throws in an outage is reported once, and not as a fault of each task.
        app.task(name=name, throws=(NotNow,))(outages.outlived(task))
    app.conf.update(
        beat_schedule={name: _entry(name, every) for name, (_, every) in entries.items()}
    )


def _entry(name: str, every: float) -> dict[str, Any]:
    return {
        "task": name,
        "schedule": every,
        "last_run_at": LONG_AGO,
        "options": {"expires": min(every, WAKE_UP_SECONDS), **RETRY_ONCE},
    }


def prune() -> None:
    """Delete messages, the API's idempotency keys and webhooks past their retention."""
    # Imported here, because it needs Django's apps to be ready.
    from admit_one.messaging import retention  # noqa: PLC0415

    go_on = runs.for_a_run(PRUNE_SECONDS)
    pruned = retention.prune(go_on=go_on)
    if apps.is_installed("admit_one.web"):
        from admit_one.web.models import IdempotencyKey  # noqa: PLC0415 (a model of that app)

        pruned["idempotency"] = IdempotencyKey.objects.prune()
    if apps.is_installed("admit_one.webhooks"):
        from admit_one.webhooks import retention as webhooks_retention  # noqa: PLC0415 (as above)

        pruned["webhooks"] = webhooks_retention.prune(go_on)
    if not any(pruned.values()):
        # Nothing to delete among the oldest rows: wait for the next scheduled run.
        return
    counts = ", ".join(f"{count} {table}" for table, count in pruned.items())
    logger.info("rows_pruned", "pruned {counts}", counts=counts)
    if not go_on() and not runs.stopping.is_set():
        wake.task(f"{conf.current().service.name}.{prune.__name__}")
