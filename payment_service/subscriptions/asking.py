"""What a subscription waits for is asked for, at once and again until the answer comes.

That is its code, and once it is cancelled, the word that its code is revoked.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from admit_one.contract.envelope import Envelope
from admit_one.database import bulk
from admit_one.messaging import outbox
from admit_one.messaging.models import OutboxMessage
from django.db import transaction
from django.utils import timezone
from shared_contracts.events import SubscriptionCancelled, UserSubscribed

from .models import ASK_AGAIN_AFTER, UNANSWERED, Subscription, ask_delay

logger = logging.getLogger(__name__)

BATCH = 200
"""Subscriptions asked for in one transaction."""

CHANGED = ("last_event_id", "asked", "next_ask_at")
"""The fields that an ask changes."""


def ask(
    subscription: Subscription, now: datetime
) -> Envelope[UserSubscribed | SubscriptionCancelled]:
    """The next ask for what it waits for. The caller saves what is `CHANGED`, and publishes it."""
    # The first one has no cause, and what was recorded again by a repair knows none.
    envelope = Envelope.of(_event(subscription), cause=subscription.first_event_id or None)
    subscription.last_event_id = envelope.id
    subscription.asked += 1
    subscription.next_ask_at = now + ask_delay(subscription.asked)
    return envelope


def _event(subscription: Subscription) -> UserSubscribed | SubscriptionCancelled:
    """What tells the student side of it, and so asks for what it waits for."""
    if subscription.cancelled_at is not None:
        return SubscriptionCancelled(
            subscription_id=subscription.id, cancelled_at=subscription.cancelled_at
        )
    return UserSubscribed(
        subscription_id=subscription.id,
        user_id=subscription.user_id,
        email=subscription.email,
        plan=subscription.plan,
        amount=subscription.amount,
        currency=subscription.currency,
        occurred_at=subscription.created_at,
    )


def ask_again() -> int:
    """Ask again for a batch of the subscriptions that wait too long; returns how many it looked at.

    An ask is repeated only when the one before has been out long enough: while it is still in
    the outbox, another would only make the backlog longer.
    Two workers at once take different rows.
    """
    with transaction.atomic():
        waiting = list(
            Subscription.objects.waiting_too_long().select_for_update(skip_locked=True)[:BATCH]
        )
        published = _published(waiting)
        now = timezone.now()
        asks = []
        for subscription in waiting:
            # An ask that is not in the outbox any more was published, and pruned long after.
            published_at = published.get(subscription.last_event_id, subscription.created_at)
            subscription.next_ask_at = _due(subscription, published_at, now)
            if subscription.next_ask_at <= now:
                asks.append(ask(subscription, now))
        _save(waiting)
        outbox.publish(*asks)
    if asks:
        logger.warning("asked again for %d subscriptions that wait too long", len(asks))
    return len(waiting)


def ask_at_once(subscriptions: Collection[UUID]) -> None:
    """Ask anew for those that wait, whatever their pause: the ask or its answer was lost.

    Only an ask that is still in the outbox is waited for. Runs in the caller's transaction.
    """
    found = Subscription.objects.filter(UNANSWERED, id__in=subscriptions)
    waiting = list(found.order_by("id").select_for_update())
    published, now = _published(waiting), timezone.now()
    lost = [one for one in waiting if published.get(one.last_event_id, now) is not None]
    asks = [ask(subscription, now) for subscription in lost]
    _save(lost)
    outbox.publish(*asks)


def revoke_at_once(subscriptions: Collection[UUID]) -> None:
    """Ask anew for the codes of these cancelled ones to be revoked, also where that was confirmed.

    Runs in the caller's transaction.
    """
    found = Subscription.objects.filter(id__in=subscriptions, cancelled_at__isnull=False)
    cancelled = list(found.order_by("id").select_for_update().values_list("id", flat=True))
    Subscription.objects.filter(id__in=cancelled).update(code_revoked_at=None)
    ask_at_once(cancelled)


def _save(subscriptions: Sequence[Subscription]) -> None:
    """Write down what was asked. The rows are locked."""
    bulk.update_from(
        Subscription,
        [{name: getattr(one, name) for name in ("id", *CHANGED)} for one in subscriptions],
        key="id",
    )


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
