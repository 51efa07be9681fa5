"""The life of a subscription after it was paid: past due, renewed, refunded, cancelled.

Each use case is idempotent: done again, it changes nothing. What ends a subscription is for good;
all else changes the terms of its code, which the student side confirms (see `code_requests`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from admit_one.logs import EventLogger
from admit_one.web.problems import Conflict
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from . import code_requests, webhook_events
from .completion import complete
from .models import Subscription

logger = EventLogger(__name__)

BATCH = 200
"""Subscriptions that are suspended in one transaction."""


class NotPossible(Conflict):
    """What the subscription has become does not allow this."""


Change = Callable[[Subscription, datetime], bool]
"""Changes an unsaved row; returns whether the student side must hear of it."""


@transaction.atomic(savepoint=False)
def cancel(*, client: str, subscription_id: UUID, reason: str = "") -> Subscription | None:
    """Cancel a subscription for good, and request that its code be revoked.

    Returns none if the client has no such subscription.
    """
    return _change(client, subscription_id, _cancelled, reason, "cancelled")


@transaction.atomic(savepoint=False)
def refund(*, client: str, subscription_id: UUID, reason: str = "") -> Subscription | None:
    """The same, because the money was paid back. It may be cancelled already."""

    def refunded(row: Subscription, now: datetime) -> bool:
        row.refunded_at = row.refunded_at or now
        return _cancelled(row, now)

    return _change(client, subscription_id, refunded, reason, "refunded")


@transaction.atomic(savepoint=False)
def mark_past_due(*, client: str, subscription_id: UUID, reason: str = "") -> Subscription | None:
    """Note that a payment is due: the code works for `GRACE_DAYS`, and is then suspended.

    Returns none if the client has no such subscription. Raises `NotPossible` if it has ended.
    """

    def past_due(row: Subscription, now: datetime) -> bool:
        _check_not_ended(row)
        row.past_due_at = row.past_due_at or now
        return False

    return _change(client, subscription_id, past_due, reason, "past_due")


@transaction.atomic(savepoint=False)
def renew(
    *,
    client: str,
    subscription_id: UUID,
    valid_until: datetime | None,
    reason: str = "",
    may_set_end: bool = False,
) -> Subscription | None:
    """Note that it is paid until then (none: for good): nothing is due, and the code works again.

    Returns none if the client has no such subscription. Raises `NotPossible` if it has ended, or
    if it is paid until later already; or for good, unless `may_set_end`, because nobody has
    reported an end so far.
    """

    def renewed(row: Subscription, now: datetime) -> bool:
        _check_not_ended(row)
        if row.valid_until is not None or not may_set_end:
            _check_later(row.valid_until, valid_until)
        before = row.valid_until, row.suspended_at
        row.end_reported = row.end_reported and row.valid_until == valid_until
        row.valid_until, row.past_due_at, row.suspended_at = valid_until, None, None
        if (row.valid_until, row.suspended_at) == before:
            return False
        row.terms_changed(now)
        return True

    return _change(client, subscription_id, renewed, reason, "renewed")


def suspend_overdue() -> int:
    """Suspend a batch of those that are past due for longer than `GRACE_DAYS`; returns how many.

    Concurrent workers take different rows.
    """
    now = timezone.now()
    with transaction.atomic():
        overdue = Subscription.objects.overdue(now - timedelta(days=settings.GRACE_DAYS))
        rows = list(overdue.select_for_update(skip_locked=True)[:BATCH])
        for row in rows:
            row.suspended_at = now
            row.terms_changed(now)
            row.save(update_fields=LIFE)
        code_requests.request(rows, now)
    for row in rows:
        logger.info(
            "subscription_suspended", "suspended {subscription}, past due", subscription=row
        )
    return len(rows)


LIFE = (
    "cancelled_at", "refunded_at", "past_due_at", "suspended_at", "valid_until", "terms_version",
    "reason", "resend_next_at", "end_reported",
)  # fmt: skip
"""The columns that these use cases change."""


def _change(
    client: str, subscription_id: UUID, change: Change, reason: str, event: str
) -> Subscription | None:
    mine = Subscription.objects.of(client).select_for_update()
    row = mine.filter(id=subscription_id).first()
    if row is None:
        return None
    before, now = [getattr(row, name) for name in LIFE], timezone.now()
    must_hear = change(row, now)
    if [getattr(row, name) for name in LIFE] != before:
        row.reason = "" if row.erased_at else reason  # of whoever is erased, nobody writes more
        row.save(update_fields=LIFE)
        webhook_events.report_all(event, [row])
    if must_hear:
        code_requests.request([row], now)
    if row.cancelled_at is not None:
        complete([row.order_id])
    return row


def _cancelled(row: Subscription, now: datetime) -> bool:
    if row.cancelled_at is not None:
        return False
    row.cancel(now)
    return True


def _check_not_ended(row: Subscription) -> None:
    if row.cancelled_at is not None:
        raise NotPossible(f"the subscription is {row.status}, which is for good: sell a new one")


def _check_later(now: datetime | None, then: datetime | None) -> None:
    if now is None and then is not None:
        raise NotPossible("the subscription has no end: expected valid_until to be null")
    if now is not None and then is None:
        raise NotPossible("the subscription has an end: expected valid_until to be a time")
    if now is not None and then is not None and then < now:
        raise NotPossible("the subscription is valid until later: expected a later valid_until")
