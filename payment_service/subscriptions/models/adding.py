"""Adds rows of new subscriptions: one by one these are the statements of every payment.

Written by hand, because the ORM takes longer to build an INSERT of all columns than the database
to run one of those that have a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from admit_one.database import bulk

from .metadata import keep_entries
from .subscription import Subscription

WRITTEN = {
    field.attname: field.db_default if field.has_db_default() else None
    for field in Subscription._meta.concrete_fields  # noqa: SLF001
    if field.name != "updated_at"  # the database writes it
}
"""The columns, and what the database writes in one that is left out."""


def add(rows: Sequence[Subscription]) -> None:
    """Insert rows made by `Subscription.paid`, with their metadata.

    Runs in the transaction that publishes their requests. The database sets `updated_at`, which is
    known after a `together.transaction`; until then it is `created_at`.
    """
    for row in rows:
        row.updated_at = row.created_at
    by_id, columns = {row.id: row for row in rows}, [vars(row) for row in rows]
    written = {
        name for values in columns for name, left_out in WRITTEN.items() if values[name] != left_out
    }
    columns_written = [
        name for name in WRITTEN if name in written
    ]  # the same statement for the same set

    def added(returned: tuple[Any, ...]) -> None:
        row_id, updated_at = returned
        by_id[row_id].updated_at = updated_at
        by_id[row_id]._state.adding = False  # noqa: SLF001 (as the ORM does: `save` updates it)

    bulk.insert(
        Subscription,
        [{name: values[name] for name in columns_written} for values in columns],
        returning=["id", "updated_at"],
        then=added,
    )
    keep_entries(rows)
