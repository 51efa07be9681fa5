"""Deletes events that are handled or ignored, and old. Open ones stay."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from .models import ProviderEvent

KEPT = timedelta(days=45)
"""Since it was handled. Stripe repeats an event for 3 days, and lets people resend it for 30."""

BATCH = 1_000
"""Rows in one DELETE."""


def prune(go_on: Callable[[], bool] = lambda: True) -> int:
    """Delete events past their retention; returns how many. What they linked stays linked."""
    deleted = 0
    ended = ProviderEvent.objects.filter(handled_at__lt=timezone.now() - KEPT)
    while go_on() and (
        ids := list(ended.order_by("handled_at").values_list("id", flat=True)[:BATCH])
    ):
        deleted += ProviderEvent.objects.filter(id__in=ids).delete()[0]
    return deleted
