"""How the API lists subscriptions: their statuses as conditions, and an index for each order."""

from __future__ import annotations

from datetime import datetime

from django.db import models

_OPEN = models.Q(cancelled_at__isnull=True)
_WITH_CODE = models.Q(cancelled_at__isnull=True, access_code__isnull=False)

STORED = {
    "pending": _OPEN & models.Q(access_code__isnull=True),
    "active": _WITH_CODE & models.Q(past_due_at__isnull=True),
    "past_due": _WITH_CODE & models.Q(past_due_at__isnull=False),
    "cancelled": models.Q(cancelled_at__isnull=False, refunded_at__isnull=True),
    "refunded": models.Q(refunded_at__isnull=False),
}
"""By status: what its rows hold. Of the first three, those whose time is up are `expired`."""

ENDING = _OPEN & models.Q(valid_until__isnull=False)
"""Expired, or to expire."""

OF_ORDER_PENDING = models.Q(
    order__isnull=False, access_code__isnull=True, cancelled_at__isnull=True, failed_at__isnull=True
)
"""Seats of orders that keep their order open."""

STATUSES = ("pending", "active", "past_due", "expired", "cancelled", "refunded")


def with_status(status: str, now: datetime) -> models.Q:
    """The rows whose property `status` is this at that time; every row has one status."""
    if status == "expired":
        return ENDING & models.Q(valid_until__lte=now)
    if status in {"cancelled", "refunded"}:
        return STORED[status]
    return STORED[status] & (models.Q(valid_until__isnull=True) | models.Q(valid_until__gt=now))


NEWEST_FIRST, BY_CHANGE = ["-created_at", "-id"], ["updated_at", "id"]

LISTED = [
    models.Index(fields=["client", *NEWEST_FIRST], name="subscription_newest"),
    models.Index(fields=["client", "user_id", *NEWEST_FIRST], name="subscription_of_user_id"),
    models.Index(fields=["client", "email", *NEWEST_FIRST], name="subscription_of_email"),
    models.Index(fields=["client", "plan", *NEWEST_FIRST], name="subscription_of_plan"),
    models.Index(
        fields=["client", "reference", *NEWEST_FIRST],
        name="subscription_of_reference",
        condition=models.Q(reference__isnull=False),
    ),
    models.Index(
        fields=["order", *NEWEST_FIRST],
        name="subscription_of_order",
        condition=models.Q(order__isnull=False),
    ),
    models.Index(
        fields=["order", *BY_CHANGE],
        name="subscription_updated_of_order",
        condition=models.Q(order__isnull=False),
    ),
    models.Index(fields=["order"], name="subscription_order_pending", condition=OF_ORDER_PENDING),
    models.Index(
        fields=["client", "-valid_until", "-id"], name="subscription_expired", condition=ENDING
    ),
    models.Index(fields=["client", *BY_CHANGE], name="subscription_updated"),
    models.Index(fields=["client", "plan", *BY_CHANGE], name="subscription_updated_of_plan"),
    *(
        models.Index(fields=["client", *fields], name=f"subscription_{status}{of}", condition=rows)
        for status, rows in STORED.items()
        for fields, of in (
            (NEWEST_FIRST, ""),
            (["plan", *NEWEST_FIRST], "_of_plan"),
            (BY_CHANGE, "_updated"),
        )
    ),
]
"""An index for each list of the API, in its order: a page costs the same of many rows as of few.
A user and an address have few rows, of which the database sorts and filters the rest."""
