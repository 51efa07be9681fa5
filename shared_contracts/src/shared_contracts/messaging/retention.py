"""Pruning: what is settled and old goes, in small batches; what is unresolved stays for ever."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import models
from django.db.models.functions import Now

from . import conf
from .models import InboxMessage, OutboxMessage, SetAside

BATCH = 1_000
"""Rows in one DELETE: each holds its locks for milliseconds."""


def prune(*, dry_run: bool = False, go_on: Callable[[], bool] = lambda: True) -> dict[str, int]:
    """Delete rows past their retention (`*_DAYS`); returns how many of each table went.

    Ends early, between two batches, once `go_on()` is false.
    """
    current = conf.current()
    settled = [SetAside.State.REPLAYED, SetAside.State.DISCARDED]
    old: dict[str, models.QuerySet[Any]] = {
        "outbox": OutboxMessage.objects.filter(published_at__lt=_ago(current.OUTBOX_DAYS)),
        "inbox": InboxMessage.objects.filter(received_at__lt=_ago(current.INBOX_DAYS)),
        "set_aside": SetAside.objects.filter(
            state__in=settled, settled_at__lt=_ago(current.SET_ASIDE_DAYS)
        ),
    }
    if dry_run:
        return {table: rows.count() for table, rows in old.items()}
    return {table: _delete(rows, go_on) for table, rows in old.items()}


def _delete(rows: models.QuerySet[Any], go_on: Callable[[], bool]) -> int:
    deleted = 0
    while go_on() and (ids := list(rows.order_by("id").values_list("id", flat=True)[:BATCH])):
        deleted += rows.filter(id__in=ids).delete()[0]
    return deleted


def _ago(days: int) -> models.Expression:
    return models.ExpressionWrapper(
        Now() - timedelta(days=days), output_field=models.DateTimeField()
    )
