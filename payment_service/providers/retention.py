"""Closes events that stay open too long, and deletes those that are handled or ignored, and old."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from admit_one.logs import EventLogger
from django.db import transaction
from django.utils import timezone

from .models import OPEN, ProviderEvent, ProviderPerson

logger = EventLogger(__name__)

OPEN_FOR = timedelta(days=90)
"""Since it came. What nobody has handled by then, nobody will, and its body names a person."""

KEPT = timedelta(days=45)
"""Since it was handled. Stripe repeats an event for 3 days, and lets people resend it for 30."""

BATCH = 1_000
"""Rows in one UPDATE or DELETE."""


def close_old(go_on: Callable[[], bool] = lambda: True) -> int:
    """Close open events that nobody handles; returns how many. Their bodies go."""
    closed = 0
    for state in OPEN:
        while go_on() and (batch := _close_batch(state)):
            closed += batch
    if closed:
        logger.warning(
            "provider_events_closed",
            "closed {events} events of payment providers that nobody had handled for {days} days",
            events=closed,
            days=OPEN_FOR.days,
        )
    return closed


@transaction.atomic
def _close_batch(state: str) -> int:
    """Those that somebody is handling now are left to the next run."""
    now = timezone.now()
    old = ProviderEvent.objects.filter(state=state, received_at__lt=now - OPEN_FOR)
    locked = old.order_by("received_at", "id").select_for_update(skip_locked=True)
    ids = list(locked.values_list("id", flat=True)[:BATCH])
    ProviderEvent.objects.filter(id__in=ids).update(
        state=ProviderEvent.State.IGNORED,
        reason=f"nobody had handled it for {OPEN_FOR.days} days",
        body=None,
        handled_at=now,
    )
    ProviderPerson.objects.forget(ids)
    return len(ids)


def prune(go_on: Callable[[], bool] = lambda: True) -> int:
    """Delete events past their retention; returns how many. What they linked stays linked."""
    deleted = 0
    ended = ProviderEvent.objects.filter(handled_at__lt=timezone.now() - KEPT)
    while go_on() and (
        ids := list(ended.order_by("handled_at").values_list("id", flat=True)[:BATCH])
    ):
        deleted += ProviderEvent.objects.filter(id__in=ids).delete()[0]
    return deleted
