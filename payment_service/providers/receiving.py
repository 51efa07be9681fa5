"""Keeps an event of a provider and applies it, in one commit; twice is once."""

from __future__ import annotations

from admit_one.contract.errors import Malformed
from admit_one.database import bulk
from admit_one.sealing import cipher
from django.db import transaction

from . import handling, metrics, persons
from .models import OPEN, ProviderEvent
from .provider import Event, OtherVersion, Provider

DUPLICATE = "duplicate"


class Reused(Exception):
    """Another event had this id, so this is not the provider's."""


def receive(provider: Provider, body: bytes) -> str:
    """Keep and apply the event in a verified body; returns its state, or that it is a duplicate.

    Raises `Reused`, and what `Provider.read` raises. What had waited for it is handled next; if the
    process ends before that, the task `handle_provider_events` does it.
    """
    event = provider.read(body)
    row = ProviderEvent(
        provider=provider.name,
        event_id=event.id,
        type=event.type,
        test=event.test,
        created_at=event.created_at,
        persons_noted=True,
    )
    row.body = row.sealed(body)
    with transaction.atomic():
        result = _kept(row, provider, event)
    if row.state == ProviderEvent.State.HANDLED:
        handling.handle_due()
    return result


def _kept(row: ProviderEvent, provider: Provider, event: Event) -> str:
    columns = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}  # noqa: SLF001
    unique = ("provider", "event_id")
    if not bulk.insert_new(ProviderEvent, [columns], conflict=unique, returning=("id",)):
        _check_same(row, provider, event)
        metrics.EVENTS.labels(provider.name, DUPLICATE).inc()
        return DUPLICATE
    row._state.adding = False  # noqa: SLF001 (`save` updates it)
    handling.first(row, provider, event)
    if row.state in OPEN:
        persons.note(row, provider, event)
    return str(row.state)


def _check_same(row: ProviderEvent, provider: Provider, event: Event) -> None:
    """Compare what the first one means, if it is kept and can be read. Raises `Reused`.

    Bytes differ when a provider sends it again: Stripe counts `pending_webhooks` down. After an
    upgrade the first one may be of the version before, with the same content in another form.
    """
    first = ProviderEvent.objects.get(provider=row.provider, event_id=row.event_id)
    try:
        body = first.opened()
        before = None if body is None else provider.read(body)
    except (cipher.Unsealable, Malformed, OtherVersion):
        return
    if before is not None and _meaning(provider, before) != _meaning(provider, event):
        raise Reused(f"expected the first content of this event, got another under id {event.id}")


def _meaning(provider: Provider, event: Event) -> tuple[object, ...]:
    """What is compared: not the content, to which a provider may add fields until it repeats it."""
    try:
        command: object = provider.command(event)
    except Malformed as error:
        command = str(error)
    return event.type, event.test, command
