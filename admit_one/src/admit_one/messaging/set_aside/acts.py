"""What people do to set-aside messages, as rows of `admit_one.acts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import TextChoices

from admit_one.acts.models import Act

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from admit_one.messaging.models import SetAside

ROOM = "set_aside"


class Action(TextChoices):
    """What somebody may do."""

    REPLAY = "replay", "retried"
    AGAIN = "again", "applied again, although it was handled"
    DISCARD = "discard", "discarded"
    RESTORE = "restore", "taken back after it was discarded"
    GO_ON = "go-on", "the consumer goes on in spite of this cause"


def draft(row: SetAside, action: Action, *, by: str, reason: str, result: str = "") -> Act:
    """An act on `row`, not yet saved."""
    return Act.draft(
        ROOM,
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
    """Everything that people did to one message."""
    return Act.objects.filter(room=ROOM, target=str(row_id))
