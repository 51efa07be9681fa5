"""Four events: two that the service under test handles, and two that it publishes."""

from __future__ import annotations

from typing import Annotated

from admit_one.contract import Event
from admit_one.contract.fields import Amount, Currency, Email, Moment, UserId, Uuid, Visible
from admit_one.contract.sealed import Sealed
from pydantic import Field

CODE_PATTERN = r"^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}$"

Code = Annotated[str, Field(pattern=CODE_PATTERN, examples=["7K3M-Q9TX-2WBD-H5RN"])]


class UserSubscribed(Event):
    """A subscription has been paid."""

    type = "user_subscribed"
    producer = "payment_service"
    about = "subscription_id"
    sensitive = frozenset({"email"})

    subscription_id: Uuid
    user_id: UserId
    email: Email
    plan: Visible
    amount: Amount
    currency: Currency
    occurred_at: Moment


class AccessCodeCreated(Event):
    """The access code of a subscription exists."""

    type = "access_code_created"
    producer = "student_service"
    about = "subscription_id"
    sensitive = frozenset({"access_code"})

    subscription_id: Uuid
    user_id: UserId
    access_code: Code
    issued_at: Moment


class AccessCodeAssigned(Event):
    """A subscription has this access code and no other."""

    type = "access_code_assigned"
    producer = "payment_service"
    about = "subscription_id"
    signed = True
    sealed_for = "student_service"
    sensitive = frozenset({"access_code"})

    subscription_id: Uuid
    user_id: UserId
    access_code: Sealed[Code]


class AccessCodeUndeliverable(Event):
    """The mail with a subscription's code was given up."""

    type = "access_code_undeliverable"
    producer = "student_service"
    about = "subscription_id"

    subscription_id: Uuid
    reason: str = Field(min_length=1, max_length=300)
    failed_at: Moment
