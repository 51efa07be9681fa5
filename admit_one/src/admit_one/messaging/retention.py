"""Pruning deletes rows that are finished and old, in small batches. Open rows stay forever."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.utils import timezone

from admit_one.acts.models import Act
from admit_one.database.clock import now_plus

from . import conf
from .models import InboxMessage, OutboxMessage, SetAside

BATCH = 1_000
"""Rows in one DELETE: each holds its locks for milliseconds."""

COUNTED = 10_000
"""Rows that one query of a rehearsal looks at: tens of milliseconds."""

PAUSE_FACTOR = 9
LONGEST_PAUSE = 1.0
"""After each batch it pauses nine times as long as the batch took, a second at most: so it uses a
tenth of the database's capacity."""


def prune(*, dry_run: bool = False, go_on: Callable[[], bool] = lambda: True) -> dict[str, int]:
    """Delete rows past their retention (`*_DAYS`); returns how many of each table went.

    Ends early, between two batches, once `go_on()` is false.
    """
    return {
        table: kind.count() if dry_run else kind.delete(go_on)
        for table, kind in _kinds(conf.current()).items()
    }


@dataclass(frozen=True)
class _Kind:
    """One table, and when its rows may go: `days` after they have `ended`."""

    rows: models.QuerySet[Any]
    born: str
    """The time of the insert: rows with higher ids are not much older."""
    ended: str
    """The time when a row was finished; null while it is open."""
    days: int

    @property
    def _days_ago(self) -> models.Expression:
        return now_plus(-self.days * 86_400.0)

    @property
    def finished(self) -> models.Q:
        return models.Q((f"{self.ended}__lt", self._days_ago))

    def count(self) -> int:
        """How many rows `delete` would delete; it walks the same rows."""
        counted: int = 0
        last = 0
        while True:
            seen = self._from(last)[:COUNTED].aggregate(
                finished=models.Count("id", filter=self.finished),
                last=models.Max("id"),
                last_aged=models.Max("id", filter=models.Q(aged=True)),
            )
            counted += seen["finished"]
            if seen["last"] is None or seen["last"] != seen["last_aged"]:
                return counted
            last = seen["last"]

    def delete(self, go_on: Callable[[], bool]) -> int:
        """Walk the table by id, in batches, until a batch ends with a young row.

        Each batch reads and deletes by primary key: it costs the same in a table of any size, and
        no event pays for an index of times.
        """
        deleted = last = 0
        while go_on():
            begun = time.monotonic()
            batch = list(self._from(last).values_list("id", "aged")[:BATCH])
            ids = [row_id for row_id, is_aged in batch if is_aged]
            deleted += self.rows.filter(self.finished, id__in=ids).delete()[0]
            if len(batch) < BATCH or not batch[-1][1]:
                break
            last = batch[-1][0]
            time.sleep(min(PAUSE_FACTOR * (time.monotonic() - begun), LONGEST_PAUSE))
        return deleted

    def _from(self, last: int) -> Any:
        """The rows after the id `last`, each with whether it was made long enough ago to go."""
        aged = models.ExpressionWrapper(
            models.Q((f"{self.born}__lt", self._days_ago)), output_field=models.BooleanField()
        )
        return self.rows.filter(id__gt=last).annotate(aged=aged).order_by("id")


def _kinds(current: conf.Messaging) -> dict[str, _Kind]:
    outbox, inbox, set_aside = OutboxMessage.objects, InboxMessage.objects, SetAside.objects
    return {
        "outbox": _Kind(outbox.all(), "created_at", "published_at", current.OUTBOX_DAYS),
        "inbox": _Kind(inbox.all(), "received_at", "received_at", current.INBOX_DAYS),
        "set_aside": _Kind(set_aside.all(), "created_at", "closed_at", current.SET_ASIDE_DAYS),
    }


def inbox_needs(kid: str) -> datetime | None:
    """Until when the inbox may have fingerprints made with this key; None if it has none.

    The operators' rotations tell when another key took its place; no fingerprint is looked at.
    """
    rotations = Act.objects.filter(area="keys", action="rotate").order_by("id")
    own = rotations.filter(target=kid).last()
    later = rotations.filter(id__gt=own.id) if own else rotations
    replaced = later.exclude(target=kid).first()
    now = timezone.now()
    until = (replaced.at if replaced else now) + timedelta(days=conf.current().INBOX_DAYS)
    return until if until > now else None
