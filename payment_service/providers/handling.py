"""Applies an event to its subscription, or lets it wait until another one says which that is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

from admit_one.contract.errors import Malformed
from admit_one.logs import EventLogger
from admit_one.sealing import cipher
from django.db import InterfaceError, OperationalError, transaction
from subscriptions.models import Subscription

from . import effects, metrics
from .commands import Ignore, Note, Record, Renew
from .models import OPEN, ProviderEvent, ProviderLink, ProviderPerson, ProviderStanding
from .provider import Event, OtherVersion, Provider
from .recording import Incomplete, Invalid, record
from .registry import PROVIDERS

logger = EventLogger(__name__)

AT_ONCE = 100
"""Events that one request handles after its own: those that had waited for it."""


def handle(row: ProviderEvent, provider: Provider, event: Event, **instead: Any) -> None:
    """Apply it, and set the row's state, in the caller's transaction.

    `instead` replaces what a `Record` says, such as a plan that it lacks. Locks are taken in one
    order: of the event, of the provider's ids, of the standing, of the subscription.
    """
    try:
        command = provider.command(event)
    except Malformed as error:
        row.fail(str(error))
        _report(row, logging.WARNING)
        return
    if isinstance(command, Ignore):
        row.ignore(command.reason)
        return
    if isinstance(command, Record) and instead:
        command = Record(**{**vars(command), **instead})
    row.amount, row.currency = command.amount, command.currency
    ids = command.subject, *command.links
    held = ProviderLink.objects.hold(row.provider, test=row.test, ids=ids)
    known = held[command.subject]
    if known is None and isinstance(command, Record):
        known = next(filter(None, held.values()), None) or _recorded(row, provider, command)
        if known is None:
            return
    if known is None:
        row.wait(f"no subscription is known by {command.subject}", waits_for=command.subject)
        _report(row, logging.INFO)  # normal for a while: another event says which it is
        return
    standing = ProviderStanding.objects.select_for_update().get(pk=known)
    why = effects.apply(command, known, f"{row.provider}: {row.type}")
    ProviderLink.objects.tie(row.provider, test=row.test, held=held, to=known)
    row.handled(known, why)
    if isinstance(command, Note):
        _report_note(row, command.text, known)
    if why and isinstance(command, Renew) and command.amount != 0:
        _report_if_in_vain(row, known)
    if standing.erased_at is not None:
        row.body = None


def _recorded(row: ProviderEvent, provider: Provider, command: Record) -> UUID | None:
    try:
        return record(provider, command, test=row.test)
    except Incomplete as error:
        row.wait(str(error), waits_for=command.subject)
    except Invalid as error:
        row.fail(str(error))
    _report(row, logging.WARNING)
    return None


def _report(row: ProviderEvent, level: int) -> None:
    logger.log(
        level,
        "provider_event_open",
        "{provider_event} ({type}) is {state}: {reason}",
        provider_event=row,
        type=row.type,
        state=row.state,
        reason=row.reason,
    )


def _report_note(row: ProviderEvent, text: str, subscription_id: UUID) -> None:
    row.reason = text
    logger.warning(
        "provider_problem_reported",
        "{provider_event} reports a problem: {reason}",
        provider_event=row,
        reason=text,
        subscription_id=subscription_id,
    )


def _report_if_in_vain(row: ProviderEvent, subscription_id: UUID) -> None:
    """Somebody paid for what had ended: Stripe collects open invoices also after that.

    What was paid before the end, and is only reported after it, was for something.
    """
    ended_later = Subscription.objects.filter(cancelled_at__gte=row.created_at)
    if ended_later.filter(pk=subscription_id).exists():
        return
    logger.warning(
        "provider_payment_in_vain",
        "{provider_event} was paid in vain: {reason}",
        provider_event=row,
        reason=row.reason,
        subscription_id=subscription_id,
    )


def handle_due(most: int = AT_ONCE) -> int:
    """Handle events that can be handled now, each in a transaction; returns how many.

    Concurrent workers take different rows.
    """
    return next((n for n in range(most) if not _handle_next()), most)


def _handle_next() -> bool:
    with transaction.atomic():
        row = ProviderEvent.objects.due().select_for_update(skip_locked=True).first()
        if row is None:
            return False
        again(row)
    return True


def first(row: ProviderEvent, provider: Provider, event: Event) -> None:
    """Handle a new event."""
    _keeping(row, lambda: handle(row, provider, event))


def again(row: ProviderEvent, **instead: Any) -> None:
    """Handle an event of before; `instead` as for `handle`."""
    _keeping(row, lambda: _open_and_handle(row, instead))
    if row.state not in OPEN:
        ProviderPerson.objects.forget([row.pk])


def _keeping(row: ProviderEvent, act: Callable[[], None]) -> None:
    """Save the row as `act` leaves it. It is kept even if that fails, and so stops no other."""
    try:
        with transaction.atomic():
            act()
    except (cipher.Unsealable, Malformed, OtherVersion) as error:
        row.fail(str(error))
    except (OperationalError, InterfaceError):  # an outage, which is nobody's fault
        raise
    except Exception as error:
        logger.log(
            logging.ERROR,
            "provider_event_failed",
            "cannot handle {provider_event}",
            provider_event=row,
            exc_info=error,
        )
        row.fail(f"a fault of ours: {type(error).__name__}; the log says more")
    row.save()
    metrics.EVENTS.labels(row.provider, row.state).inc()


def _open_and_handle(row: ProviderEvent, instead: dict[str, Any]) -> None:
    body, provider = row.opened(), PROVIDERS.get(row.provider)
    if body is None or provider is None:
        row.ignore("its body is no longer kept" if body is None else "its provider is gone")
        return
    handle(row, provider, provider.read(body), **instead)
