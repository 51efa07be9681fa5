"""Pruning deletes what is finished and old, in small batches. What is open stays for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import models
from django.db.models.functions import Now

from . import conf
from .models import InboxMessage, OutboxMessage, SetAside

BATCH = 1_000
"""Rows in one DELETE: each holds its locks for milliseconds."""

REST = 9
LONGEST_REST = 1.0
"""Between two batches it rests nine times as long as one took, a second at most: it takes a
tenth of what the database can do, and leaves the rest to those for whom somebody waits."""


def prune(*, dry_run: bool = False, go_on: Callable[[], bool] = lambda: True) -> dict[str, int]:
    """Delete rows past their retention (`*_DAYS`); returns how many of each table went.

    Ends early, between two batches, once `go_on()` is false.
    """
    return {
        kind.table: kind.count() if dry_run else kind.delete(go_on)
        for kind in _kinds(conf.current())
    }


@dataclass(frozen=True)
class _Kind:
    """One table's rows, and which of them may go."""

    table: str
    rows: models.QuerySet[Any]
    finished: models.Q
    born: str
    """The time of a row's insert: rows with higher ids are not much older."""
    days: int

    def count(self) -> int:
        return self.rows.filter(self.finished).count()

    def delete(self, go_on: Callable[[], bool]) -> int:
        """Walk up the table, a batch at a time, as far as there can be anything old.

        Each batch reads and deletes by primary key: it costs the same in a table of any size.
        """
        deleted = last = 0
        aged = models.ExpressionWrapper(
            models.Q((f"{self.born}__lt", _ago(self.days))), output_field=models.BooleanField()
        )
        while go_on():
            begun = time.monotonic()
            batch = list(
                self.rows.filter(id__gt=last)
                .annotate(aged=aged)
                .order_by("id")
                .values_list("id", "aged")[:BATCH]
            )
            ids = [row_id for row_id, is_aged in batch if is_aged]
            deleted += self.rows.filter(self.finished, id__in=ids).delete()[0]
            if len(batch) < BATCH or not batch[-1][1]:
                break
            last = batch[-1][0]
            time.sleep(min(REST * (time.monotonic() - begun), LONGEST_REST))
        return deleted


def _kinds(current: conf.Messaging) -> tuple[_Kind, ...]:
    closed = [SetAside.State.REPLAYED, SetAside.State.DISCARDED]
    return (
        _Kind(
            "outbox",
            OutboxMessage.objects.all(),
            models.Q(published_at__lt=_ago(current.OUTBOX_DAYS)),
            "created_at",
            current.OUTBOX_DAYS,
        ),
        _Kind(
            "inbox",
            InboxMessage.objects.all(),
            models.Q(received_at__lt=_ago(current.INBOX_DAYS)),
            "received_at",
            current.INBOX_DAYS,
        ),
        _Kind(
            "set_aside",
            SetAside.objects.all(),
            models.Q(state__in=closed, closed_at__lt=_ago(current.SET_ASIDE_DAYS)),
            "created_at",
            current.SET_ASIDE_DAYS,
        ),
    )


def _ago(days: int) -> models.Expression:
    return models.ExpressionWrapper(
        Now() - timedelta(days=days), output_field=models.DateTimeField()
    )
