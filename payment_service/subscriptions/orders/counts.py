"""How many seats of an order are in which state."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Count, Q
from django.utils import timezone

from subscriptions.models import STATUSES, Order, Subscription, with_status

FAILED = Q(failed_at__isnull=False)
"""Of the pending, those whose code cannot be issued yet."""

COUNTED = (*STATUSES, "failed")


def counts_of(order: Order) -> dict[str, int]:
    """The seats by status, each once: `pending` is without those that have `failed`."""
    counts = {name: Count("pk", filter=rows) for name, rows in _states(timezone.now()).items()}
    by_state: dict[str, int] = Subscription.objects.filter(order=order).aggregate(**counts)
    return by_state


def _states(now: datetime) -> dict[str, Q]:
    by_status = {status: with_status(status, now) for status in STATUSES}
    pending = by_status["pending"]
    return {**by_status, "pending": pending & ~FAILED, "failed": pending & FAILED}
