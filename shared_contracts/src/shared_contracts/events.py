"""The events: what one service tells the others, as frozen models.

A published event never changes its meaning; it may gain optional fields.
Everything else is a successor with a name of its own (`user_subscribed.v2`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, ClassVar
from uuid import UUID

from admit_one.contract.fields import Amount, Code, Currency, Email, Moment, UserId, Visible
from pydantic import BaseModel, ConfigDict, Field

MOST_DIGESTS = 1_000
"""Entries of one `access_digest`: about 110 bytes each, so all fit in one message."""

MOST_GRANTS = 100
"""Subscriptions that one `access_grants_requested` asks for."""


ACTIVE, REVOKED = "active", "revoked"
"""States of a code in an `access_digest`: it lets in, or nobody any more."""


class Event(BaseModel):
    """Common to all events: written strictly, frozen, and silent about its values in errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: ClassVar[str]
    producer: ClassVar[str]
    """The one service that may publish it; its exchange carries it."""
    about: ClassVar[str] = "subscription_id"
    """The field that says what the event is about; it is the envelope's subject."""
    sensitive: ClassVar[frozenset[str]] = frozenset()
    """Fields that no log, list or page shows in clear."""

    @property
    def subject(self) -> str:
        """What the event is about, as the envelope says it."""
        return str(getattr(self, self.about))

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """An event may be printed in a log or a traceback: without what is sensitive."""
        for name, value in super().__repr_args__():
            yield name, "***" if name in self.sensitive else value


class UserSubscribed(Event):
    """A subscription has been paid. `amount` is in minor units of `currency` (ISO 4217)."""

    type = "user_subscribed"
    producer = "payment_service"
    sensitive = frozenset({"email"})

    subscription_id: UUID
    user_id: UserId
    email: Email
    plan: Visible
    amount: Amount
    currency: Currency
    occurred_at: Moment


class AccessCodeCreated(Event):
    """The access code of a subscription exists. Sent again, it always carries the same code."""

    type = "access_code_created"
    producer = "student_service"
    sensitive = frozenset({"access_code"})

    subscription_id: UUID
    user_id: UserId
    access_code: Code
    issued_at: Moment


class SubscriptionCancelled(Event):
    """A subscription was cancelled, for good: its access code lets nobody in any more."""

    type = "subscription_cancelled"
    producer = "payment_service"

    subscription_id: UUID
    cancelled_at: Moment


class AccessCodeRevoked(Event):
    """The code of a cancelled subscription lets nobody in, even if it should come to be later."""

    type = "access_code_revoked"
    producer = "student_service"

    subscription_id: UUID
    revoked_at: Moment


class AccessCodeUndeliverable(Event):
    """The mail with a subscription's code was given up. The code itself is good."""

    type = "access_code_undeliverable"
    producer = "student_service"

    subscription_id: UUID
    reason: str = Field(min_length=1, max_length=300)
    """Why, for people; without the address."""
    failed_at: Moment


class Position(BaseModel):
    """A place in the order by when it was paid and then by subscription."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    occurred_at: Moment
    subscription_id: UUID


class DigestEntry(BaseModel):
    """One code, without telling it."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    subscription_id: UUID
    state: Visible
    """`ACTIVE` or `REVOKED`; other states may follow."""
    digest: str = Field(pattern=r"^[0-9a-f]{32}$")
    """What `code_digest` makes of the code."""


def code_digest(subscription_id: UUID, access_code: str) -> str:
    """The first 16 bytes of SHA-256 over `subscription id:code`, in hex: it compares two codes.

    A code has 80 random bits, so nobody finds it by trying.
    """
    return hashlib.sha256(f"{subscription_id}:{access_code}".encode()).hexdigest()[:32]


class AccessDigestRequested(Event):
    """Which codes are there for what was paid from `since` until before `until`, after a place?"""

    type = "access_digest_requested"
    producer = "payment_service"
    about = "run_id"

    run_id: UUID
    since: Moment
    until: Moment
    after: Position | None = None
    """Where the page before ended; none for the first page."""
    limit: int = Field(ge=1, le=MOST_DIGESTS, strict=True)


class AccessDigest(Event):
    """One page of the codes that there are, in the order of when they were paid."""

    type = "access_digest"
    producer = "student_service"
    about = "run_id"

    run_id: UUID
    after: Position | None = None
    """As in the request."""
    entries: tuple[DigestEntry, ...] = Field(max_length=MOST_DIGESTS)
    next: Position | None = None
    """Where the next page goes on; none if this is the last one."""


class AccessGrantsRequested(Event):
    """Tell all that you know of these subscriptions and their codes."""

    type = "access_grants_requested"
    producer = "payment_service"
    about = "run_id"

    run_id: UUID
    subscription_ids: tuple[UUID, ...] = Field(min_length=1, max_length=MOST_GRANTS)


class AccessGrantReported(Event):
    """All that the student side knows of a subscription and its code."""

    type = "access_grant_reported"
    producer = "student_service"
    sensitive = frozenset({"email", "access_code"})

    subscription_id: UUID
    run_id: UUID
    user_id: UserId
    email: Email
    plan: Visible
    amount: Amount | None = None
    """None if it was never told: codes that an early release has issued."""
    currency: Currency | None = None
    occurred_at: Moment
    access_code: Code
    issued_at: Moment
    cancelled_at: Moment | None = Field(default=None, exclude_if=lambda value: value is None)
    """When the subscription was cancelled, if it was: its code is revoked."""


class AccessCodeRestored(Event):
    """The payment side knows the code of a subscription of which the student side knows nothing."""

    type = "access_code_restored"
    producer = "payment_service"
    sensitive = frozenset({"email", "access_code"})

    subscription_id: UUID
    run_id: UUID
    user_id: UserId
    email: Email
    plan: Visible
    amount: Amount
    currency: Currency
    occurred_at: Moment
    access_code: Code
    issued_at: Moment


EVENTS: dict[str, type[Event]] = {
    event.type: event
    for event in (
        UserSubscribed,
        AccessCodeCreated,
        SubscriptionCancelled,
        AccessCodeRevoked,
        AccessCodeUndeliverable,
        AccessDigestRequested,
        AccessDigest,
        AccessGrantsRequested,
        AccessGrantReported,
        AccessCodeRestored,
    )
}
