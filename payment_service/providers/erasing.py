"""Erases what the providers' events say about the person of a subscription."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from .models import OPEN, ProviderEvent, ProviderStanding


@transaction.atomic
def erase(subscription_ids: Collection[UUID]) -> int:
    """Blank bodies and reasons of all events about these; returns how many. Ids and amounts stay.

    Nobody tries such an event again, and of events that come later no body is kept. An event that
    is being handled meanwhile is passed by here: it finds `erased_at` once this is committed. To be
    called before the caller's transaction locks a subscription, which handling an event locks last.
    """
    now = timezone.now()
    standings = ProviderStanding.objects.filter(pk__in=subscription_ids, erased_at__isnull=True)
    standings.update(erased_at=now)
    about = ProviderEvent.objects.filter(subscription_id__in=subscription_ids)
    ids = list(about.select_for_update(skip_locked=True).values_list("id", flat=True))
    events = ProviderEvent.objects.filter(id__in=ids)
    events.filter(state__in=OPEN).update(state=ProviderEvent.State.IGNORED, handled_at=now)
    return events.update(body=None, reason="")
