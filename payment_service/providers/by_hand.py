"""What operators do about events: try them again, perhaps with what they lack, and close them.

Each is an act on record.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from admit_one.acts.models import Act
from django.db import transaction

from . import handling
from .models import AREA, OPEN, ProviderEvent, ProviderPerson


class NotPossible(Exception):
    """The event is not open."""


def retry(row_id: UUID, *, by: str | None, reason: str, given: Mapping[str, str]) -> ProviderEvent:
    """Handle an open event again; `given` are values that its checkout lacks, by name.

    Returns the row as it is then. Raises `NotPossible`.
    """
    with transaction.atomic():
        # Committed first: whoever links what it waits for changes those that are unmatched, and we
        # would wait for that link while holding the row.
        row = _open(row_id)
        row.state = ProviderEvent.State.RECEIVED
        row.save(update_fields=["state"])
    with transaction.atomic():
        row = ProviderEvent.objects.select_for_update().get(pk=row_id)
        if row.state in OPEN:  # unless the task was faster
            handling.again(row, **given)
        _record("retry", row, by, reason, {"event_id": row.event_id, "given": sorted(given)})
    handling.handle_due()  # what had waited for it
    return row


@transaction.atomic
def close(row_id: UUID, *, by: str | None, reason: str) -> ProviderEvent:
    """End an open event that nobody will handle: its body is blanked. Raises `NotPossible`."""
    row = _open(row_id)
    row.ignore("closed by an operator")
    row.save()
    ProviderPerson.objects.forget([row.pk])
    _record("close", row, by, reason, {"event_id": row.event_id})
    return row


def _open(row_id: UUID) -> ProviderEvent:
    row = ProviderEvent.objects.select_for_update().filter(pk=row_id).first()
    if row is None:
        raise NotPossible(f"{row_id}: there is no such event")
    if row.state not in OPEN:
        raise NotPossible(f"{row_id}: it is {row.state}")
    return row


def _record(
    action: str, row: ProviderEvent, by: str | None, reason: str, facts: Mapping[str, object]
) -> None:
    subject = "" if row.subscription_id is None else str(row.subscription_id)
    about = {"target": str(row.pk), "subject": subject, "facts": dict(facts)}
    Act.draft(AREA, action, by=by, reason=reason, result=row.state, **about).save()
