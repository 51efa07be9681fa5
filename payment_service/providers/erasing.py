"""Erases what the providers' events say about the persons of subscriptions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from .models import OPEN, ProviderEvent, ProviderLink, ProviderStanding


def rows(subjects: Sequence[str]) -> Iterator[QuerySet[Any]]:
    """What is kept about these subscriptions."""
    ids = [UUID(subject) for subject in subjects]
    yield ProviderEvent.objects.filter(subscription_id__in=ids)
    yield ProviderLink.objects.filter(subscription_id__in=ids)
    yield ProviderStanding.objects.filter(pk__in=ids)


@transaction.atomic
def erase(subjects: Sequence[str]) -> None:
    """Blank bodies and reasons of all events about these. Ids and amounts stay.

    Nobody tries such an event again, and of events that come later no body is kept. An event that
    is being handled meanwhile is passed by here: it finds `erased_at` once this is committed. To be
    called before the caller's transaction locks a subscription, which handling an event locks last.
    """
    now = timezone.now()
    about, _, standings = rows(subjects)
    standings.filter(erased_at__isnull=True).update(erased_at=now)
    locked = about.select_for_update(skip_locked=True)
    events = ProviderEvent.objects.filter(id__in=list(locked.values_list("id", flat=True)))
    open_events = events.filter(state__in=OPEN)
    open_events.update(state=ProviderEvent.State.IGNORED, handled_at=now)
    events.update(body=None, reason="")
