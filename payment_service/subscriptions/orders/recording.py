"""Records an order with its seats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from admit_one.messaging import publish
from django.db import transaction

from subscriptions.models import NewSubscription, Order, OwnWords, Subscription, add


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
    add([row for row, _ in paid])
    publish(*(request for _, request in paid))
    return order
