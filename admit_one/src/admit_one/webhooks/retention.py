"""Deletes deliveries that are old, and endpoints that were deleted, in small batches."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from .models import Delivery, Endpoint

KEPT = timedelta(days=45)
"""From when a delivery was written. One that waits is older than three days only if its endpoint
is disabled, and after so long nobody wants it any more."""

BATCH = 1_000
"""Rows in one DELETE: each holds its locks for milliseconds."""

STILL_KNOWN = timedelta(minutes=1)
"""For some seconds, a process may write deliveries to an endpoint that was deleted."""


def prune(go_on: Callable[[], bool]) -> int:
    """Delete what is past its time; returns how many deliveries went."""
    # Their ids are UUIDs of version 7, which begin with the time, in milliseconds.
    oldest = timezone.now() - KEPT
    first_kept = UUID(int=int(oldest.timestamp() * 1_000) << 80)
    deleted = _delete(Delivery.objects.filter(pk__lt=first_kept), go_on)
    for endpoint in Endpoint.objects.filter(deleted_at__lt=timezone.now() - STILL_KNOWN):
        deleted += _delete(endpoint.deliveries.all(), go_on)
        if not go_on():
            break
        endpoint.delete()
    return deleted


def _delete(rows: QuerySet[Delivery], go_on: Callable[[], bool]) -> int:
    deleted, oldest_first = 0, rows.order_by("pk").values_list("pk", flat=True)
    while go_on() and (ids := list(oldest_first[:BATCH])):
        deleted += Delivery.objects.filter(pk__in=ids).delete()[0]
    return deleted
