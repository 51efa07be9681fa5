"""Finds open events by whom they name: those that have no subscription are found by nothing else.

A user id is that of one person at one client. An address may be shared: it is enough if somebody
gives it, and the event names no other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from uuid import UUID

from admit_one.contract.errors import Malformed
from admit_one.contract.fields import spellings
from admit_one.erasure.definition import Found, Person
from admit_one.sealing import cipher
from django.db import transaction
from subscriptions.models import Subscription

from .models import ProviderEvent, ProviderPerson
from .provider import Event, OtherVersion, Provider
from .registry import PROVIDERS

USER_ID, EMAIL = ProviderPerson.Kind.USER_ID, ProviderPerson.Kind.EMAIL

BATCH = 100


def note(row: ProviderEvent, provider: Provider, event: Event) -> None:
    """Make an event that stays open found by whom it names, in the commit that keeps its body."""
    person = provider.person(event)
    names = [(USER_ID, each) for each in person.user_ids]
    names += [(EMAIL, each.lower()) for each in person.emails]
    drafts = [ProviderPerson.draft(row, *each) for each in dict.fromkeys(names)]
    ProviderPerson.objects.bulk_create(drafts)


def note_earlier(go_on: Callable[[], bool] = lambda: True) -> None:
    """Do so for open events that were kept before this was done. What cannot be read stays."""
    unnoted, last = ProviderEvent.objects.unnoted(), UUID(int=0)
    ids = unnoted.order_by("id").values_list("id", flat=True)
    while go_on() and (batch := list(ids.filter(id__gt=last)[:BATCH])):
        for row_id in batch:
            _note_earlier(row_id)
        last = batch[-1]


@transaction.atomic
def _note_earlier(row_id: UUID) -> None:
    unnoted = ProviderEvent.objects.unnoted()
    row = unnoted.select_for_update(skip_locked=True).filter(pk=row_id).first()
    read = None if row is None else opened(row)
    if row is None or read is None:
        return
    note(row, *read)
    row.persons_noted = True
    row.save(update_fields=["persons_noted"])


def opened(row: ProviderEvent) -> tuple[Provider, Event] | None:
    """The event in a row; none if it cannot be read any more."""
    provider = PROVIDERS.get(row.provider)
    try:
        body = row.opened()
        return None if provider is None or body is None else (provider, provider.read(body))
    except (cipher.Unsealable, Malformed, OtherVersion):
        return None


def unsearched() -> int:
    """How many open events cannot be read to see whom they name."""
    return ProviderEvent.objects.unnoted().count()


def find(person: Person) -> Found:
    """Open events that are these users' and addresses', each with its client, and those of whoever
    has these subscriptions, as far as that is certain."""
    sure: dict[str, str] = {}
    unsure: dict[str, str] = {}
    wanted = {spelling for email in person.emails for spelling in spellings(email)}
    for kind, names in (USER_ID, person.user_ids), (EMAIL, wanted):
        theirs, of_others = _naming(kind, names, person.clients)
        sure |= {each: client for each, client in theirs.items() if each not in of_others}
        why = f"it names another {kind.label}, too: give that as well"
        unsure |= dict.fromkeys(of_others, why)
    rows = Subscription.objects.filter(id__in=person.subjects, erased_at__isnull=True)
    owners = {(row.client, row.user_id, row.email): row for row in rows}
    for row in owners.values():
        theirs, others = _of(row, frozenset(person.subjects))
        sure |= theirs
        unsure |= others
    return Found(sure, {each: why for each, why in unsure.items() if each not in sure})


def _of(row: Subscription, subjects: frozenset[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The events of whoever has this subscription, and those that may be, with why.

    Whoever keeps another one may have them for that.
    """
    by_user = find(Person(user_ids=[row.user_id], clients=[row.client]))
    by_address = find(Person(emails=[row.email], clients=[row.client]))
    only = f"it names only the address of {row.pk}: give --email"
    others = dict.fromkeys(by_address.subjects, only)
    all_theirs = Subscription.objects.of(row.client).filter(user_id=row.user_id)
    if subjects.issuperset(map(str, all_theirs.values_list("pk", flat=True))):
        return dict(by_user.subjects), others
    stays = f"the user of {row.pk} has another subscription, which stays: give --user-id"
    return {}, others | dict.fromkeys(by_user.subjects, stays)


def _naming(
    kind: str, names: Collection[str], clients: Collection[str]
) -> tuple[dict[str, str], set[str]]:
    """The open events of these clients that name one of these, and which name others as well."""
    named = ProviderPerson.objects.named(kind, names)
    events = ProviderEvent.objects.filter(pk__in=named.values("event"))
    theirs = {
        str(pk): client
        for pk, provider in events.values_list("pk", "provider")
        if (client := _client(provider)) in (clients or {client})
    }
    others = ProviderPerson.objects.filter(kind=kind, event__in=list(theirs))
    others = others.exclude(pk__in=named.values("pk"))
    return theirs, {str(pk) for pk in others.values_list("event", flat=True)}


def _client(provider: str) -> str:
    """Who owns what it reports; the provider itself, if it is no longer one of ours."""
    return PROVIDERS[provider].client() if provider in PROVIDERS else provider
