"""What a subscription waits for is requested at once, and again until the answer comes.

That is its code and, once it is cancelled, the confirmation that its code is revoked.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from admit_one.database import bulk
from admit_one.logs import EventLogger
from admit_one.messaging import publish
from admit_one.messaging.models import OutboxMessage
from django.db import transaction
from django.utils import timezone

from .models import REQUEST_AGAIN_AFTER, UNANSWERED, Subscription, request_delay

logger = EventLogger(__name__)

BATCH = 200
"""Subscriptions whose requests go out in one transaction."""

CHANGED = ("cancelled_at", "first_request_id", "last_request_id", "requests", "next_request_at")
"""The columns that a request writes."""


def request(subscriptions: Sequence[Subscription], now: datetime) -> None:
    """Request what each waits for: count it, save the row and publish the event.

    The rows are new, or locked by the caller's transaction.
    """
    requests = [subscription.next_request(now) for subscription in subscriptions]
    _save(subscriptions)
    publish(*requests)


def request_again() -> int:
    """Request again for a batch that waits too long; returns how many rows it looked at.

    A request is repeated only when the one before has been published for long enough: while that
    is still in the outbox, another would only make the backlog longer.
    Two workers at once take different rows.
    """
    with transaction.atomic():
        waiting = list(
            Subscription.objects.waiting_too_long().select_for_update(skip_locked=True)[:BATCH]
        )
        published, now = _published_at(waiting), timezone.now()
        for subscription in waiting:
            # A request that is not in the outbox any more was published, and pruned long after.
            at = published.get(subscription.last_request_id, subscription.created_at)
            subscription.next_request_at = _next_request_at(subscription, at, now)
        due = [row for row in waiting if row.next_request_at <= now]
        _update([row for row in waiting if row.next_request_at > now], ("next_request_at",))
        request(due, now)
    if due:
        logger.warning(
            "codes_requested_again",
            "requested again for {subscriptions} subscriptions that wait too long",
            subscriptions=len(due),
        )
    return len(waiting)


def request_at_once(subscriptions: Collection[UUID]) -> None:
    """Request again for those that wait, whatever their pause: request or answer was lost.

    A request that is still in the outbox is not repeated. Runs in the caller's transaction.
    """
    unanswered = Subscription.objects.filter(UNANSWERED, id__in=subscriptions)
    waiting = list(unanswered.order_by("id").select_for_update())
    published, now = _published_at(waiting), timezone.now()
    request([row for row in waiting if published.get(row.last_request_id, now) is not None], now)


def revoke_at_once(subscriptions: Collection[UUID]) -> None:
    """Cancel again at the student side, even where the revocation was confirmed before.

    Runs in the caller's transaction.
    """
    cancelled = Subscription.objects.filter(id__in=subscriptions, cancelled_at__isnull=False)
    locked = list(cancelled.order_by("id").select_for_update().values_list("id", flat=True))
    Subscription.objects.filter(id__in=locked).update(code_revoked_at=None)
    request_at_once(locked)


def _save(subscriptions: Sequence[Subscription]) -> None:
    new = [row for row in subscriptions if row._state.adding]  # noqa: SLF001 (documented)
    known = [row for row in subscriptions if not row._state.adding]  # noqa: SLF001
    for row in new:
        row.save(force_insert=True)
    _update(known, CHANGED)


def _update(subscriptions: Sequence[Subscription], columns: Sequence[str]) -> None:
    bulk.update_from(
        Subscription,
        [{name: getattr(row, name) for name in ("id", *columns)} for row in subscriptions],
        key="id",
    )


def _published_at(subscriptions: Sequence[Subscription]) -> dict[str, datetime | None]:
    """When the last request of each was published, by its event id; none while it waits."""
    requests = OutboxMessage.objects.filter(
        subject__in=[str(subscription.id) for subscription in subscriptions],
        event_id__in=[subscription.last_request_id for subscription in subscriptions],
    )
    return dict(requests.values_list("event_id", "published_at"))


def _next_request_at(
    subscription: Subscription, published_at: datetime | None, now: datetime
) -> datetime:
    """When to request again; if the last request is not out yet, when to look again."""
    if published_at is None:
        return now + REQUEST_AGAIN_AFTER[0]
    return published_at + request_delay(subscription.requests)
