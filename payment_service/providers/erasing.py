"""Erases what the providers' events say about the persons of subscriptions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from admit_one.acts import words
from admit_one.acts.models import Act
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from .models import AREA, OPEN, ProviderEvent, ProviderLink, ProviderStanding
from .registry import PROVIDERS


def rows(subjects: Sequence[str]) -> Iterator[QuerySet[Any]]:
    """What is kept about these subscriptions."""
    ids = [UUID(subject) for subject in subjects]
    yield ProviderEvent.objects.filter(subscription_id__in=ids)
    yield ProviderLink.objects.filter(subscription_id__in=ids)
    yield ProviderStanding.objects.filter(pk__in=ids)


@transaction.atomic
def erase(subjects: Sequence[str]) -> None:
    """Blank bodies and reasons of all events about these. Ids and amounts stay.

    Nobody tries such an event again, and of events that come later no body is kept. An open event
    that is being handled meanwhile is passed by here: it finds `erased_at` once this is committed.
    One that has ended is waited for: whoever holds it, such as `rotate_keys`, does not look there.
    To be called before the caller's transaction locks a subscription, which handling locks last.
    """
    now = timezone.now()
    about, _, standings = rows(subjects)
    standings.filter(erased_at__isnull=True).update(erased_at=now)
    still_open = about.filter(state__in=OPEN).select_for_update(skip_locked=True)
    ids = list(still_open.values_list("id", flat=True))
    ended = about.exclude(state__in=OPEN).order_by("id").select_for_update()
    ids += ended.values_list("id", flat=True)
    events = ProviderEvent.objects.filter(id__in=ids)
    events.filter(state__in=OPEN).update(state=ProviderEvent.State.IGNORED, handled_at=now)
    events.update(body=None, reason="")
    # Before it found its subscription, an act on an event was about none.
    words.erase(Act.objects.filter(area=AREA, target__in=list(map(str, ids))))


def still_charging(subjects: Sequence[str]) -> Iterator[str]:
    """What their providers may go on charging for, in words: nothing here ends it there."""
    links = ProviderLink.objects.filter(subscription_id__in=[UUID(each) for each in subjects])
    for link in links.order_by("subscription_id", "external_id"):
        provider = PROVIDERS.get(link.provider)
        if provider is not None and provider.recurs(link.external_id):
            yield (
                f"{link.subscription_id}  {link.provider} goes on charging for "
                f"{link.external_id} unless it has ended there: cancel it there first"
            )
