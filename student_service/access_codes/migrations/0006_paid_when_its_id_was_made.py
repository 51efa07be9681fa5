"""Codes of the first release know only when they were issued; their id tells when it was paid.

The payment side makes the id, a UUIDv7, together with the time of the payment, and pages by that
time: without it, reconciliation looks for some codes in the wrong page, and takes them for lost.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

BATCH = 1_000
FIRST = UUID(int=0)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
END_OF_ITS_MILLISECOND = timedelta(microseconds=999)
"""The id has whole milliseconds. Rounded down, each would stand before its own payment."""


def note_when_paid(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Batch by batch, each committed: it may be ended anywhere and run again."""
    rows = apps.get_model("access_codes", "AccessCode").objects.using(
        schema_editor.connection.alias
    )
    unknown = rows.filter(occurred_at__isnull=True).order_by("subscription_id")
    after = FIRST
    while batch := list(
        unknown.filter(subscription_id__gt=after).only("subscription_id", "issued_at")[:BATCH]
    ):
        after = batch[-1].subscription_id
        for row in batch:
            row.occurred_at = _made_at(row.subscription_id, row.issued_at)
        unknown.bulk_update(batch, ["occurred_at"])


def _made_at(subscription_id: UUID, issued_at: datetime) -> datetime | None:
    """None if the id does not tell, or if it names a time after the code was issued."""
    milliseconds = subscription_id.int >> 80
    if subscription_id.version != 7 or milliseconds > issued_at.timestamp() * 1000:
        return None
    return EPOCH + timedelta(milliseconds=milliseconds) + END_OF_ITS_MILLISECOND


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("access_codes", "0005_a_second_lookup_hash")]
    operations = [migrations.RunPython(note_when_paid, migrations.RunPython.noop, elidable=True)]
