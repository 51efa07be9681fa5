"""Records an order with its seats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from admit_one.database import bulk
from admit_one.messaging import publish
from django.db import transaction

from subscriptions.models import NewSubscription, Order, OwnWords, Subscription, keep_entries

WRITTEN = [
    field.attname
    for field in Subscription._meta.concrete_fields  # noqa: SLF001
    if field.name != "updated_at"  # the database writes it
]


@transaction.atomic(savepoint=False)
def record_order(
    *, client: str, test: bool, subscriptions: Sequence[NewSubscription], **own: Unpack[OwnWords]
) -> Order:
    """Record what was paid together, and request an access code for each seat; all or none."""
    order = Order(client=client, test=test, seats=len(subscriptions), **own)
    order.save(force_insert=True)
    paid = [
        Subscription.paid(client=client, test=test, order=order, created_at=order.created_at, **new)
        for new in subscriptions
    ]
    rows = [row for row, _ in paid]
    bulk.insert(Subscription, [_columns(row) for row in rows])
    keep_entries(rows)
    publish(*(request for _, request in paid))
    return order


def _columns(row: Subscription) -> dict[str, Any]:
    return {name: getattr(row, name) for name in WRITTEN}
