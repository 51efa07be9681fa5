"""What somebody decides about set-aside messages without trying them; each decision is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from admit_one.acts.models import Act
from admit_one.messaging.models import SetAside

from . import acts
from .acts import Action

BATCH = 500
"""Rows in one transaction."""


def discard(ids: Sequence[int], *, by: str, reason: str) -> Iterator[int]:
    """Give up those of `ids` that are open; yields how many, batch by batch."""
    open_ = Q(state__in=[SetAside.State.RETRYING, SetAside.State.DEAD])
    given_up = {"state": SetAside.State.DISCARDED, "closed_at": Now(), "next_attempt_at": None}
    for batch in _batches(ids):
        yield _decide(batch, open_, given_up, Action.DISCARD, by=by, reason=reason)


def restore(ids: Sequence[int], *, by: str, reason: str = "") -> Iterator[int]:
    """Take back those of `ids` that were discarded: they are dead, and wait for somebody."""
    discarded = Q(state=SetAside.State.DISCARDED)
    taken_back = {"state": SetAside.State.DEAD, "closed_at": None}
    for batch in _batches(ids):
        action = Action.RESTORE
        yield _decide(batch, discarded, taken_back, action, by=by, reason=reason)


def go_on(fingerprint: str, *, by: str, reason: str) -> None:
    """Let the consumer set messages with this cause aside, however many; see `Breaker`."""
    Act.draft(acts.ROOM, Action.GO_ON, by=by, reason=reason, group=fingerprint).save()


def _decide(
    ids: Sequence[int],
    fit: Q,
    changes: dict[str, Any],
    action: Action,
    *,
    by: str,
    reason: str,
) -> int:
    with transaction.atomic():
        rows = list(
            SetAside.objects.filter(fit, id__in=ids)
            .select_for_update()
            .order_by("id")
            .only("id", "event_id", "type", "subject", "fingerprint")
        )
        SetAside.objects.filter(id__in=[row.id for row in rows]).update(**changes)
        Act.objects.bulk_create(
            acts.draft(row, action, by=by, reason=reason, result="done") for row in rows
        )
    return len(rows)


def _batches(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))
