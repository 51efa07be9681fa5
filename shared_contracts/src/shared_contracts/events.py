"""The events that the two services exchange.

First the life of a subscription, then the reconciliation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Annotated
from uuid import UUID

from admit_one.contract import Event
from admit_one.contract.fields import Amount, Currency, Email, Moment, UserId, Uuid, Visible
from admit_one.contract.sealed import Sealed
from pydantic import BaseModel, ConfigDict, Field

CODE_PATTERN = r"^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}$"
"""80 bits in Crockford's base32, in four groups of four characters."""

Code = Annotated[str, Field(pattern=CODE_PATTERN, examples=["7K3M-Q9TX-2WBD-H5RN"])]

MAX_DIGESTS = 1_000
"""Entries of one `access_digest`, of about 110 bytes each: a page must fit in one message."""

MAX_CHECKED = 2_000
"""Codes of one `access_checksum`: either side reads them in a few hundredths of a second, so that
other events hardly wait for it."""

MAX_GRANTS = 100
"""Subscriptions in one `access_grants_requested`."""

ACTIVE, REVOKED = "active", "revoked"
"""States of a code in an `access_digest`; `REVOKED` also stands for the code in a checksum."""


class Paid(Event):
    """Base of the events that carry what was paid. `amount` is in minor units of `currency`.

    The address is sealed for the service that receives the event.
    """

    about = "subscription_id"
    sensitive = frozenset({"email"})

    subscription_id: Uuid
    user_id: UserId
    email: Sealed[Email]
    plan: Visible
    amount: Amount
    currency: Currency
    occurred_at: Moment


class UserSubscribed(Paid):
    """A subscription was paid. `amount` is in minor units of `currency` (ISO 4217)."""

    type = "user_subscribed"
    producer = "payment_service"
    signed = False
    sealed_for = "student_service"


class SubscriptionCancelled(Event):
    """A subscription was cancelled permanently: its access code must be revoked."""

    type = "subscription_cancelled"
    producer = "payment_service"
    signed = False
    about = "subscription_id"

    subscription_id: Uuid
    cancelled_at: Moment


class AccessCodeCreated(Event):
    """A subscription has an access code. If this is sent again, the code is the same."""

    type = "access_code_created"
    producer = "student_service"
    about = "subscription_id"
    signed = False
    sealed_for = "payment_service"
    sensitive = frozenset({"access_code"})

    subscription_id: Uuid
    user_id: UserId
    access_code: Sealed[Code]
    issued_at: Moment


class AccessCodeRevoked(Event):
    """The code of a cancelled subscription no longer works, even if it is only issued later."""

    type = "access_code_revoked"
    producer = "student_service"
    signed = False
    about = "subscription_id"

    subscription_id: Uuid
    revoked_at: Moment


class AccessCodeUndeliverable(Event):
    """The mail with a subscription's code was given up. The code itself is valid."""

    type = "access_code_undeliverable"
    producer = "student_service"
    signed = False
    about = "subscription_id"

    subscription_id: Uuid
    reason: str = Field(min_length=1, max_length=300)
    """Human-readable; without the address."""
    failed_at: Moment


class Position(BaseModel):
    """A position in the order of subscriptions by payment time and id."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    occurred_at: Moment
    subscription_id: Uuid


class DigestEntry(BaseModel):
    """One code, as a digest."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    subscription_id: Uuid
    state: Visible
    """`ACTIVE` or `REVOKED`; other states may follow."""
    digest: str = Field(pattern=r"^[0-9a-f]{32}$")
    """The `code_digest` of the code."""


def code_digest(subscription_id: UUID, access_code: str) -> str:
    """The first 16 bytes of SHA-256 over `subscription id:code`, in hex, to compare two codes.

    A code has 80 random bits, so its digest cannot be reversed by brute force.
    """
    return hashlib.sha256(f"{subscription_id}:{access_code}".encode()).hexdigest()[:32]


def codes_checksum(codes: Iterable[tuple[UUID, str]]) -> str:
    """The first 16 bytes of SHA-256 over a line `subscription id:code` for each, in hex.

    Sorted as in a page of digests; `REVOKED` in place of a revoked code.
    """
    lines = "".join(f"{subscription_id}:{code}\n" for subscription_id, code in codes)
    return hashlib.sha256(lines.encode()).hexdigest()[:32]


class AccessChecksumRequested(Event):
    """Requests one checksum of the next codes for what was paid from `since` until before `until`.

    If the sides agree, they need no `access_digest` of these codes.
    """

    type = "access_checksum_requested"
    producer = "payment_service"
    signed = True
    about = "run_id"

    run_id: Uuid
    since: Moment
    until: Moment
    after: Position | None = None
    """Where the previous page ended; none for the first page."""
    limit: int = Field(ge=1, le=MAX_CHECKED, strict=True)


class AccessChecksum(Event):
    """One checksum of a page of codes, ordered by payment time and subscription."""

    type = "access_checksum"
    producer = "student_service"
    signed = False
    about = "run_id"

    run_id: Uuid
    after: Position | None = None
    """As in the request."""
    checksum: str = Field(pattern=r"^[0-9a-f]{32}$", examples=["fea3cd8690936d1d88ae6d8e34b6a6cc"])
    """The `codes_checksum` of the page."""
    next: Position | None = None
    """Where the next page starts; none if this is the last."""


class AccessDigestRequested(Event):
    """Requests a page of the codes for what was paid from `since` until before `until`."""

    type = "access_digest_requested"
    producer = "payment_service"
    signed = True
    about = "run_id"

    run_id: Uuid
    since: Moment
    until: Moment
    after: Position | None = None
    """Where the previous page ended; none for the first page."""
    limit: int = Field(ge=1, le=MAX_DIGESTS, strict=True)


class AccessDigest(Event):
    """One page of codes, ordered by payment time and subscription."""

    type = "access_digest"
    producer = "student_service"
    signed = False
    about = "run_id"

    run_id: Uuid
    after: Position | None = None
    """As in the request."""
    entries: tuple[DigestEntry, ...] = Field(max_length=MAX_DIGESTS)
    next: Position | None = None
    """Where the next page starts; none if this is the last."""


class AccessGrantsRequested(Event):
    """Requests all that the student side knows about these subscriptions."""

    type = "access_grants_requested"
    producer = "payment_service"
    signed = True
    about = "run_id"

    run_id: Uuid
    subscription_ids: tuple[Uuid, ...] = Field(min_length=1, max_length=MAX_GRANTS)


class AccessGrantReported(Paid):
    """All that the student side knows about a subscription and its code."""

    type = "access_grant_reported"
    producer = "student_service"
    signed = False
    sealed_for = "payment_service"
    sensitive = frozenset({"email", "access_code"})

    run_id: Uuid
    access_code: Sealed[Code]
    issued_at: Moment
    cancelled_at: Moment | None = Field(default=None, exclude_if=lambda value: value is None)
    """When the subscription was cancelled, if it was; its code is then revoked."""


class AccessGrantsDelayed(Event):
    """The grants of a run that were not reported yet wait: an hour's share is used up."""

    type = "access_grants_delayed"
    producer = "student_service"
    signed = False
    about = "run_id"

    run_id: Uuid
    until: Moment
    """When the next ones are reported, at the earliest."""


class AccessCodeRestored(Paid):
    """The code of a subscription that the student side has lost."""

    type = "access_code_restored"
    producer = "payment_service"
    signed = True
    sealed_for = "student_service"
    sensitive = frozenset({"email", "access_code"})

    run_id: Uuid
    access_code: Sealed[Code]
    issued_at: Moment
