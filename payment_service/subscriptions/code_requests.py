"""Requests to the student side, for codes and revocations, repeated until they are answered."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from admit_one.database import bulk
from admit_one.logs import EventLogger
from admit_one.messaging import OutboxMessage, publish
from django.db import transaction
from django.utils import timezone

from .models import REQUEST_AGAIN_AFTER, UNANSWERED, Subscription, request_delay

logger = EventLogger(__name__)

BATCH = 200
"""Subscriptions per transaction."""

REQUEST_COLUMNS = (
    "cancelled_at",
    "first_request_id",
    "last_request_id",
    "requests",
    "next_request_at",
)


def request(subscriptions: Sequence[Subscription], now: datetime) -> None:
    """Publish a request for what each waits for. The caller's transaction has locked the rows."""
    requests = [subscription.next_request(now) for subscription in subscriptions]
    _update(subscriptions, REQUEST_COLUMNS)
    publish(*requests)


def request_again() -> int:
    """Repeat the requests of a batch that has waited too long; returns how many rows it checked.

    The wait counts from the publication of the last request: repeating a request that is still in
    the outbox would only make the backlog longer. Concurrent workers take different rows.
    """
    with transaction.atomic():
        waiting = list(
            Subscription.objects.waiting_too_long().select_for_update(skip_locked=True)[:BATCH]
        )
        published, now = _published_at(waiting), timezone.now()
        for subscription in waiting:
            # A request that is no longer in the outbox was published and pruned long ago.
            at = published.get(subscription.last_request_id, subscription.created_at)
            subscription.next_request_at = _next_request_at(subscription, at, now)
        due = [row for row in waiting if row.next_request_at <= now]
        _update([row for row in waiting if row.next_request_at > now], ("next_request_at",))
        request(due, now)
    if due:
        logger.warning(
            "codes_requested_again",
            "repeated the requests of {subscriptions} subscriptions that waited too long",
            subscriptions=len(due),
        )
    return len(waiting)


def request_at_once(subscriptions: Collection[UUID]) -> None:
    """Repeat the requests of those that still wait, without regard to when they are due.

    A request that is still in the outbox is not repeated. Runs in the caller's transaction.
    """
    unanswered = Subscription.objects.filter(UNANSWERED, id__in=subscriptions)
    waiting = list(unanswered.order_by("id").select_for_update())
    published, now = _published_at(waiting), timezone.now()
    request([row for row in waiting if published.get(row.last_request_id, now) is not None], now)


def revoke_at_once(subscriptions: Collection[UUID]) -> None:
    """Request the revocations again, even those confirmed before. Runs in a transaction.

    Not of those that are erased: the student side answers nothing about them.
    """
    cancelled = Subscription.objects.filter(
        id__in=subscriptions, cancelled_at__isnull=False, erased_at__isnull=True
    )
    locked = list(cancelled.order_by("id").select_for_update().values_list("id", flat=True))
    Subscription.objects.filter(id__in=locked).update(code_revoked_at=None)
    request_at_once(locked)


def apply_at_once(subscriptions: Collection[UUID]) -> None:
    """Request again that the terms be applied, even those confirmed before, in a transaction."""
    living = Subscription.objects.filter(id__in=subscriptions, cancelled_at__isnull=True)
    locked = list(living.order_by("id").select_for_update().values_list("id", flat=True))
    Subscription.objects.filter(id__in=locked).update(terms_applied=0)
    request_at_once(locked)


def _update(subscriptions: Sequence[Subscription], columns: Sequence[str]) -> None:
    bulk.update_from(
        Subscription,
        [{name: getattr(row, name) for name in ("id", *columns)} for row in subscriptions],
        key="id",
    )


def published_at(requests: Mapping[UUID, str]) -> dict[str, datetime | None]:
    """When each request was published, by event id; none while it is in the outbox.

    `requests` are event ids by subscription. One that is no longer in the outbox is not returned:
    it was published and pruned long ago. A request that the relay cannot publish, such as one
    whose key is lost, may stay there forever. It counts as published when it was written, so that
    it is repeated.
    """
    rows = OutboxMessage.objects.filter(
        subject__in=list(map(str, requests)), event_id__in=list(requests.values())
    ).only("event_id", "published_at", "attempts", "created_at")
    return {
        row.event_id: row.published_at or (row.created_at if row.attempts else None) for row in rows
    }


def _published_at(subscriptions: Sequence[Subscription]) -> dict[str, datetime | None]:
    return published_at({row.id: row.last_request_id for row in subscriptions})


def _next_request_at(
    subscription: Subscription, published_at: datetime | None, now: datetime
) -> datetime:
    """When to request again or, if the last request is not published yet, to check again."""
    if published_at is None:
        return now + REQUEST_AGAIN_AFTER[0]
    return published_at + request_delay(subscription.requests)
