"""What happens here: a subscription is recorded, its code arrives, or it is asked for again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from shared_contracts.api.models import IdempotencyKey
from shared_contracts.envelope import Envelope
from shared_contracts.errors import Rejected
from shared_contracts.events import AccessCodeCreated, AccessCodeUndeliverable, UserSubscribed
from shared_contracts.masking import mask
from shared_contracts.messaging import bulk, outbox, retention, sealing
from shared_contracts.messaging.models import OutboxMessage

from . import metrics
from .models import ASK_AGAIN_AFTER, CODE_PURPOSE, Subscription, ask_delay

logger = logging.getLogger(__name__)

ASK_BATCH = 200
"""Subscriptions asked for in one transaction."""


@transaction.atomic(savepoint=False)
def record_subscription(
    *, client: str, user_id: str, email: str, plan: str, amount: int, currency: str
) -> Subscription:
    """Record what was paid, and ask for an access code."""
    subscription = Subscription(
        client=client, user_id=user_id, email=email, plan=plan, amount=amount, currency=currency
    )
    ask = Envelope.of(_event(subscription))
    subscription.first_event_id = subscription.last_event_id = ask.id
    subscription.next_ask_at = subscription.created_at + ask_delay(1)
    subscription.save(force_insert=True)
    outbox.publish(ask)
    return subscription


def attach_access_codes(messages: Sequence[Envelope[AccessCodeCreated]]) -> Iterator[Rejected]:
    """Store each code with its subscription; the first that comes is the one that stays.

    Returns the messages about unknown subscriptions and those that bring another code.
    """
    first: dict[Any, AccessCodeCreated] = {}
    for message in messages:
        first.setdefault(message.data.subscription_id, message.data)
    attached = bulk.update_from(
        Subscription,
        [
            {
                "id": subscription_id,
                "access_code": sealing.seal(event.access_code.encode(), CODE_PURPOSE),
                "code_issued_at": event.issued_at,
            }
            for subscription_id, event in sorted(first.items())
        ],
        key="id",
        only_where_null="access_code",
    )
    if attached:
        metrics.codes_came(attached)
    if len(attached) == len(messages):
        return iter(())
    return _not_attached(messages)


def _not_attached(messages: Iterable[Envelope[AccessCodeCreated]]) -> Iterator[Rejected]:
    known = Subscription.objects.in_bulk([message.data.subscription_id for message in messages])
    for message in messages:
        subscription = known.get(message.data.subscription_id)
        if subscription is None:
            yield Rejected(message, f"there is no subscription {message.subject}")
        elif subscription.code != message.data.access_code:
            logger.warning("another code came for %s, the first is kept", subscription)
            yield Rejected(message, f"another code came for {subscription}, the first is kept")


def note_undeliverable_codes(
    messages: Sequence[Envelope[AccessCodeUndeliverable]],
) -> Iterator[Rejected]:
    """Keep with each subscription that its mail was given up; of several, the latest stays.

    Returns the messages about unknown subscriptions.
    """
    for message in messages:
        told = message.data
        found = Subscription.objects.filter(id=told.subscription_id)
        unknown_or_older = Q(mail_failed_at__isnull=True) | Q(mail_failed_at__lt=told.failed_at)
        noted = found.filter(unknown_or_older).update(
            mail_failed_at=told.failed_at, mail_failure=mask(told.reason)[:300]
        )
        if not noted and not found.exists():
            yield Rejected(message, f"there is no subscription {message.subject}")


def ask_again() -> int:
    """Ask again for a batch of the subscriptions that wait too long; returns how many it looked at.

    An ask is repeated only when the one before has been out long enough: while it is still in
    the outbox, another would only make the backlog longer.
    Two workers at once take different rows.
    """
    with transaction.atomic():
        waiting = list(
            Subscription.objects.waiting_too_long().select_for_update(skip_locked=True)[:ASK_BATCH]
        )
        published = _published(waiting)
        now = timezone.now()
        asks = []
        for subscription in waiting:
            # An ask that is not in the outbox any more was published, and pruned long after.
            published_at = published.get(subscription.last_event_id, subscription.created_at)
            subscription.next_ask_at = _due(subscription, published_at, now)
            if subscription.next_ask_at <= now:
                asks.append(_ask(subscription, now))
        Subscription.objects.bulk_update(waiting, ["last_event_id", "asked", "next_ask_at"])
        outbox.publish(*asks)
    if asks:
        logger.warning("asked again for %d subscriptions that wait too long", len(asks))
    return len(waiting)


def ask_at_once(subscriptions: Collection[UUID]) -> None:
    """Ask anew for those without a code, whatever their pause: the ask or its answer was lost.

    Only an ask that is still in the outbox is waited for. Runs in the caller's transaction.
    """
    found = Subscription.objects.filter(id__in=subscriptions, access_code__isnull=True)
    waiting = list(found.order_by("id").select_for_update())
    published, now = _published(waiting), timezone.now()
    lost = [one for one in waiting if published.get(one.last_event_id, now) is not None]
    asks = [_ask(subscription, now) for subscription in lost]
    asked = ("id", "last_event_id", "asked", "next_ask_at")
    bulk.update_from(
        Subscription,
        [{name: getattr(subscription, name) for name in asked} for subscription in lost],
        key="id",
        only_where_null="access_code",
    )
    outbox.publish(*asks)


def _published(subscriptions: Sequence[Subscription]) -> dict[str, datetime | None]:
    """When the last ask of each was published, by its event id; none while it waits."""
    asks = OutboxMessage.objects.filter(
        subject__in=[str(subscription.id) for subscription in subscriptions],
        event_id__in=[subscription.last_event_id for subscription in subscriptions],
    )
    return dict(asks.values_list("event_id", "published_at"))


def _due(subscription: Subscription, published_at: datetime | None, now: datetime) -> datetime:
    """When to ask again; if the last ask is not out yet, when to look again."""
    if published_at is None:
        return now + ASK_AGAIN_AFTER[0]
    return published_at + ask_delay(subscription.asked)


def _ask(subscription: Subscription, now: datetime) -> Envelope[UserSubscribed]:
    ask = Envelope.of(_event(subscription), cause=subscription.first_event_id)
    subscription.last_event_id = ask.id
    subscription.asked += 1
    subscription.next_ask_at = now + ask_delay(subscription.asked)
    return ask


def _event(subscription: Subscription) -> UserSubscribed:
    return UserSubscribed(
        subscription_id=subscription.id,
        user_id=subscription.user_id,
        email=subscription.email,
        plan=subscription.plan,
        amount=subscription.amount,
        currency=subscription.currency,
        occurred_at=subscription.created_at,
    )


def prune(go_on: Callable[[], bool]) -> dict[str, int]:
    """Delete what is past its retention while `go_on()`; returns how many rows of each table."""
    pruned = {**retention.prune(go_on=go_on), "idempotency": IdempotencyKey.objects.prune()}
    if any(pruned.values()):
        logger.info("pruned %s", ", ".join(f"{count} {table}" for table, count in pruned.items()))
    return pruned
