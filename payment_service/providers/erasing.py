"""Erases what the providers' events say about the persons of subscriptions, and of none yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from admit_one.acts import words
from admit_one.acts.models import Act
from admit_one.contract.errors import Malformed
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from . import handling, persons
from .commands import Ignore
from .models import AREA, OPEN, ProviderEvent, ProviderLink, ProviderPerson, ProviderStanding
from .registry import PROVIDERS

ERASED = "its person was erased"


def rows(subjects: Sequence[str]) -> Iterator[QuerySet[Any]]:
    """What is kept about these subscriptions."""
    ids = [UUID(subject) for subject in subjects]
    yield ProviderEvent.objects.filter(subscription_id__in=ids)
    yield ProviderPerson.objects.filter(event__subscription_id__in=ids)
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
    about, _, _, standings = rows(subjects)
    standings.filter(erased_at__isnull=True).update(erased_at=now)
    still_open = about.filter(state__in=OPEN).select_for_update(skip_locked=True)
    ids = list(still_open.values_list("id", flat=True))
    ended = about.exclude(state__in=OPEN).order_by("id").select_for_update()
    ids += ended.values_list("id", flat=True)
    events = ProviderEvent.objects.filter(id__in=ids)
    events.filter(state__in=OPEN).update(state=ProviderEvent.State.IGNORED, handled_at=now)
    events.update(body=None, reason="")
    ProviderPerson.objects.forget(ids)
    # Before it found its subscription, an act on an event was about none.
    words.erase(Act.objects.filter(area=AREA, target__in=list(map(str, ids))))


def rows_of_open(ids: Sequence[str]) -> Iterator[QuerySet[Any]]:
    """What is kept about these open events, and what operators did to them."""
    yield ProviderEvent.objects.filter(id__in=ids)
    yield ProviderPerson.objects.filter(event__id__in=ids)
    yield Act.objects.filter(area=AREA, target__in=ids)


def erase_open(ids: Sequence[str], by: str | None) -> list[str]:
    """Close these open events, on record, and remove their bodies.

    Returns those that have found a subscription meanwhile: they are erased with that.
    """
    left = [row_id for row_id in ids if not _erase_open(UUID(row_id), by)]
    if ids:
        handling.handle_due()  # what waits for the same sale
    return left


def _erase_open(row_id: UUID, by: str | None) -> bool:
    """In two transactions: whoever handles an event locks it before the ids that it names."""
    _keep_no_more(ProviderEvent.objects.get(pk=row_id))
    with transaction.atomic():
        row = ProviderEvent.objects.select_for_update().get(pk=row_id)
        if row.state in OPEN:
            row.ignore(ERASED)
            row.save()
        if row.body is not None:
            return False
        ProviderPerson.objects.forget([row_id])
        words.erase(Act.objects.filter(area=AREA, target=str(row_id)))
        facts = {"event_id": row.event_id}
        Act.draft(AREA, "erase", by=by, result=row.state, target=str(row_id), facts=facts).save()
    return True


@transaction.atomic
def _keep_no_more(row: ProviderEvent) -> None:
    """Let what comes later of the same sale find a subscription that is erased, and never was one.

    Else the next invoice would bring the person back.
    """
    ids = _ids_in(row)
    held = ProviderLink.objects.hold(row.provider, test=row.test, ids=ids)
    if ids and not any(held.values()):
        erased = {"provider": row.provider, "erased_at": timezone.now()}
        ProviderStanding.objects.get_or_create(subscription_id=row.pk, defaults=erased)
        ProviderLink.objects.tie(row.provider, test=row.test, held=held, to=row.pk)


def _ids_in(row: ProviderEvent) -> set[str]:
    """The provider's ids by which an event finds a subscription, or would let others find it."""
    ids = {row.waits_for} - {""}
    if (read := persons.opened(row)) is None:
        return ids
    provider, event = read
    try:
        command = provider.command(event)
    except Malformed:
        return ids
    return ids if isinstance(command, Ignore) else ids | {command.subject, *command.links}


def still_charging(subjects: Sequence[str]) -> Iterator[str]:
    """What their providers may go on charging for, in words: nothing here ends it there."""
    links = ProviderLink.objects.filter(subscription_id__in=[UUID(each) for each in subjects])
    for link in links.order_by("subscription_id", "external_id"):
        yield from _charging(str(link.subscription_id), link.provider, link.external_id)


def still_charging_for_open(ids: Sequence[str]) -> Iterator[str]:
    """The same of open events."""
    for row in ProviderEvent.objects.filter(id__in=ids).order_by("id"):
        for external_id in sorted(_ids_in(row)):
            yield from _charging(str(row.pk), row.provider, external_id)


def _charging(what: str, provider: str, external_id: str) -> Iterator[str]:
    if provider in PROVIDERS and PROVIDERS[provider].recurs(external_id):
        yield (
            f"{what}  {provider} goes on charging for {external_id} unless it has ended there: "
            "cancel it there first"
        )
