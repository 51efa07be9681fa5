"""Clients hear once of each end of validity that has passed.

Nothing else changes then: whether a subscription has expired is read off its `valid_until`.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from . import webhook_events
from .models import Subscription

BATCH = 200
"""Subscriptions in one transaction."""

LATE = timedelta(days=7)
"""An end that nobody has reported for so long is not reported any more."""


@transaction.atomic
def report_ended() -> int:
    """Report a batch of those that have expired; returns how many.

    Concurrent workers take different rows, and wait for none that is in use.
    """
    now = timezone.now()
    ended = Subscription.objects.ended(now - LATE, now)
    rows = list(ended.select_for_update(skip_locked=True)[:BATCH])
    Subscription.objects.filter(pk__in=[row.pk for row in rows]).update(end_reported=True)
    webhook_events.report_all("expired", rows)
    return len(rows)
