"""What the payment service reports of a subscription."""

from __future__ import annotations

from uuid import UUID

from admit_one.contract import Event
from admit_one.contract.fields import Amount, Currency, Email, Moment, UserId, Visible


class UserSubscribed(Event):
    """A subscription has been paid. `amount` is in minor units of `currency` (ISO 4217)."""

    type = "user_subscribed"
    producer = "payment_service"
    about = "subscription_id"
    sensitive = frozenset({"email"})

    subscription_id: UUID
    user_id: UserId
    email: Email
    plan: Visible
    amount: Amount
    currency: Currency
    occurred_at: Moment


class SubscriptionCancelled(Event):
    """A subscription was cancelled, for good: its access code lets nobody in any more."""

    type = "subscription_cancelled"
    producer = "payment_service"
    about = "subscription_id"

    subscription_id: UUID
    cancelled_at: Moment
