"""Test data."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from admit_one.contract.envelope import Envelope
from admit_one.messaging.testing import an_envelope
from shared_contracts.events import AccessCodeCreated
from subscriptions import services
from subscriptions.models import Order, Subscription
from subscriptions.orders.recording import record_order

CODE = "7K3M-Q9TX-2WBD-H5RN"
OTHER_CODE = "ZZZZ-ZZZZ-ZZZZ-ZZZZ"


def a_payload(**changes: Any) -> dict[str, Any]:
    return {
        "user_id": "user-42",
        "email": "ada@example.com",
        "plan": "gold",
        "amount": 4900,
        "currency": "EUR",
        **changes,
    }


def a_subscription(**changes: Any) -> Subscription:
    """A recorded subscription, whose request is in the outbox."""
    return services.record_subscription(**{"client": "shop", **a_payload(), **changes})


def an_order(seats: int = 2, **own: Any) -> Order:
    """A recorded order, whose seats request their codes."""
    subscriptions: Any = [a_payload(user_id=f"user-{n}") for n in range(seats)]
    return record_order(**{"client": "shop", "test": False, "subscriptions": subscriptions, **own})


def seats_of(order: Order) -> list[UUID]:
    """The ids of its subscriptions."""
    return list(
        Subscription.objects.filter(order=order).order_by("id").values_list("pk", flat=True)
    )


def a_code_for(subscription_id: UUID, code: str = CODE) -> Envelope[AccessCodeCreated]:
    """The student service's reply."""
    return an_envelope(AccessCodeCreated, subscription_id=subscription_id, access_code=code)
