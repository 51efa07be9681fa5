"""Seals the user ids that earlier releases kept in clear, for migrations."""

from __future__ import annotations

from typing import Any

from .user import user_columns

BATCH = 500
"""Rows in one transaction: each holds its locks for milliseconds."""


def seal_some(codes: Any) -> bool:
    """Seal a batch of the codes that have a user in clear; whether there were any.

    `codes` is the model as it was. Erased codes have nothing to seal.
    """
    clear = codes.objects.filter(sealed_user_id__isnull=True, sealed_code__isnull=False)
    batch = list(clear.order_by("pk").only("pk", "user_id").select_for_update()[:BATCH])
    for row in batch:
        codes.objects.filter(pk=row.pk).update(**user_columns(row.pk, row.user_id))
    return bool(batch)
