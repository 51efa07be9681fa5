"""The task that every service has: rows past their retention go."""

from __future__ import annotations

from django.apps import apps

from admit_one.logs import EventLogger
from admit_one.messaging import conf, retention, wake

from . import runs

logger = EventLogger(__name__)

EVERY = 3_600
"""Seconds between two runs."""

PRUNE_SECONDS = 2.0
"""A run is short, so that nothing else waits long for the worker."""


def prune() -> None:
    """Delete what is past its retention: messages, and the API's idempotency keys."""
    go_on = runs.for_a_run(PRUNE_SECONDS)
    pruned = retention.prune(go_on=go_on)
    if apps.is_installed("admit_one.web"):
        from admit_one.web.models import IdempotencyKey  # noqa: PLC0415 (a model of that app)

        pruned["idempotency"] = IdempotencyKey.objects.prune()
    if not any(pruned.values()):
        # Nothing went in a whole run: what stands first is kept, and an hour later will do.
        return
    counts = ", ".join(f"{count} {table}" for table, count in pruned.items())
    logger.info("rows_pruned", "pruned {counts}", counts=counts)
    if not go_on() and not runs.stopping.is_set():
        wake.task(f"{conf.current().service.name}.{prune.__name__}")
