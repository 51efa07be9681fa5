"""How the two services compare what they know, and repair what differs."""

from __future__ import annotations

import hashlib
from uuid import UUID

from admit_one.contract import Event
from admit_one.contract.fields import Amount, Currency, Email, Moment, UserId, Visible
from pydantic import BaseModel, ConfigDict, Field

from .access_codes import Code

MOST_DIGESTS = 1_000
"""Entries of one `access_digest`: about 110 bytes each, so all fit in one message."""

MOST_GRANTS = 100
"""Subscriptions that one `access_grants_requested` asks for."""

ACTIVE, REVOKED = "active", "revoked"
"""States of a code in an `access_digest`: it lets in, or nobody any more."""


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
    about = "subscription_id"
    sensitive = frozenset({"email", "access_code"})

    subscription_id: UUID
    run_id: UUID
    user_id: UserId
    email: Email
    plan: Visible
    amount: Amount | None = None
    """None if it is unknown: an early release issued the code."""
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
    about = "subscription_id"
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
