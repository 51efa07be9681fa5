"""Adds rows of new subscriptions: one by one these are the statements of every payment.

Written by hand, because the ORM takes longer to build an INSERT of all columns than the database
to run one of those that have a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from admit_one.database import bulk
from django.db.models import Field

from .metadata import keep_entries
from .subscription import Subscription

WRITTEN: list[Field[Any, Any]] = [
    field
    for field in Subscription._meta.concrete_fields  # noqa: SLF001
    if field.name != "updated_at"  # the database writes it
]


def add(rows: Sequence[Subscription]) -> None:
    """Insert rows made by `Subscription.paid`, with their metadata, and set their `updated_at`.

    Runs in the transaction that publishes their requests.
    """
    written = [f for f in WRITTEN if any(getattr(row, f.attname) != _default(f) for row in rows)]
    added = bulk.insert_new(
        Subscription,
        [{field.attname: getattr(row, field.attname) for field in written} for row in rows],
        conflict=["id"],
        returning=["id", "updated_at"],
    )
    updated_at = dict(added)
    for row in rows:
        row.updated_at = updated_at[row.id]
        row._state.adding = False  # noqa: SLF001 (as the ORM does: the next `save` updates it)
    keep_entries(rows)


def _default(field: Field[Any, Any]) -> Any:
    """What the database writes in a column that is left out."""
    return field.db_default if field.has_db_default() else None
