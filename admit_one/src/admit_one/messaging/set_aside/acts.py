"""What operators do to set-aside messages, as rows of `admit_one.acts`.

It also discards and restores messages; `replay` replays them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet, TextChoices
from django.db.models.functions import Now

from admit_one.acts.models import Act
from admit_one.messaging.models import SetAside

AREA = "set_aside"

BATCH = 500
"""Rows in one transaction."""


class Action(TextChoices):
    """What an operator may do."""

    REPLAY = "replay", "retried"
    AGAIN = "again", "applied again, although it was handled"
    DISCARD = "discard", "discarded"
    RESTORE = "restore", "restored after it was discarded"
    GO_ON = "go-on", "consumers go on despite this cause"


def draft(row: SetAside, action: Action, *, by: str, reason: str, result: str = "") -> Act:
    """An unsaved act on `row`."""
    return Act.draft(
        AREA,
        action,
        by=by,
        reason=reason,
        target=row.id,
        group=row.fingerprint,
        subject=row.subject,
        facts={"event_id": row.event_id, "type": row.type},
        result=result,
    )


def on(row_id: int) -> QuerySet[Act]:
    """Everything that operators did to one message."""
    return Act.objects.filter(area=AREA, target=str(row_id))


def discard(ids: Sequence[int], *, by: str, reason: str) -> Iterator[int]:
    """Discard those of `ids` that are open; yields how many, batch by batch."""
    open_ = Q(state__in=[SetAside.State.RETRYING, SetAside.State.DEAD])
    given_up = {"state": SetAside.State.DISCARDED, "closed_at": Now(), "next_attempt_at": None}
    for batch in _batches(ids):
        yield _decide(batch, open_, given_up, Action.DISCARD, by=by, reason=reason)


def restore(ids: Sequence[int], *, by: str, reason: str = "") -> Iterator[int]:
    """Make those of `ids` that were discarded dead letters again; yields how many, by batch."""
    discarded = Q(state=SetAside.State.DISCARDED)
    taken_back = {"state": SetAside.State.DEAD, "closed_at": None}
    for batch in _batches(ids):
        action = Action.RESTORE
        yield _decide(batch, discarded, taken_back, action, by=by, reason=reason)


def go_on(fingerprint: str, *, by: str, reason: str) -> None:
    """Let consumers set messages with this cause aside, however many; see `Breaker`."""
    Act.draft(AREA, Action.GO_ON, by=by, reason=reason, group=fingerprint).save()


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
            draft(row, action, by=by, reason=reason, result="done") for row in rows
        )
    return len(rows)


def _batches(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))
