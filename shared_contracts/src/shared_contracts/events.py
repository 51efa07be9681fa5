"""The events: what one service tells the others, as frozen models.

A published event never changes its meaning; it may gain optional fields.
Everything else is a successor with a name of its own (`user_subscribed.v2`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
)

MAX_AMOUNT = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (RFC 8259, section 6)."""

CODE_PATTERN = r"^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}$"
"""80 bits in Crockford's base32, in four groups."""

EMAIL_PATTERN = r"^[^@\s<>(),:;\"\\\[\]\x00-\x1f\x7f]{1,64}@[^@\s<>(),:;\"\\\[\]\x00-\x1f\x7f]+$"
"""One address and nothing else: no list, no display name, no line break (RFC 5321 lengths)."""

MOST_DIGESTS = 1_000
"""Entries of one `access_digest`: about 110 bytes each, so all fit in one message."""

MOST_GRANTS = 100
"""Subscriptions that one `access_grants_requested` asks for."""


def _number_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:]{8}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def _only_rfc3339(value: Any) -> Any:
    """A number could be seconds or milliseconds, a date could be any hour of it: no guessing."""
    if isinstance(value, datetime) or (isinstance(value, str) and _RFC3339.fullmatch(value)):
        return value
    raise ValueError("expected a date, time and offset as in RFC 3339")


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("expected a moment of the years 1 to 9999 in UTC") from None


def _to_rfc3339(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


Visible = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\s\x00-\x1f\x7f]+$")]
UserId = Annotated[
    str,
    BeforeValidator(_number_as_text, json_schema_input_type=str | int),
    Field(min_length=1, max_length=64, pattern=r"^[^\s\x00-\x1f\x7f]+$"),
]
Email = Annotated[str, Field(max_length=254, pattern=EMAIL_PATTERN)]
Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_only_rfc3339),
    AfterValidator(_in_utc),
    PlainSerializer(_to_rfc3339, when_used="json"),
]


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
    amount: int = Field(ge=0, le=MAX_AMOUNT, strict=True)
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    occurred_at: Moment


class AccessCodeCreated(Event):
    """The access code of a subscription exists. Sent again, it always carries the same code."""

    type = "access_code_created"
    producer = "student_service"
    sensitive = frozenset({"access_code"})

    subscription_id: UUID
    user_id: UserId
    access_code: str = Field(pattern=CODE_PATTERN)
    issued_at: Moment


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
    """`active`; other states may follow."""
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


class AccessGrantTold(Event):
    """All that the student side knows of a subscription and its code."""

    type = "access_grant_told"
    producer = "student_service"
    sensitive = frozenset({"email", "access_code"})

    subscription_id: UUID
    run_id: UUID
    user_id: UserId
    email: Email
    plan: Visible
    amount: int | None = Field(default=None, ge=0, le=MAX_AMOUNT, strict=True)
    """None if it was never told: codes that an early release has issued."""
    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")
    occurred_at: Moment
    access_code: str = Field(pattern=CODE_PATTERN)
    issued_at: Moment


class AccessCodeKnown(Event):
    """The payment side knows the code of a subscription of which the student side knows nothing."""

    type = "access_code_known"
    producer = "payment_service"
    sensitive = frozenset({"email", "access_code"})

    subscription_id: UUID
    run_id: UUID
    user_id: UserId
    email: Email
    plan: Visible
    amount: int = Field(ge=0, le=MAX_AMOUNT, strict=True)
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    occurred_at: Moment
    access_code: str = Field(pattern=CODE_PATTERN)
    issued_at: Moment


EVENTS: dict[str, type[Event]] = {
    event.type: event
    for event in (
        UserSubscribed,
        AccessCodeCreated,
        AccessCodeUndeliverable,
        AccessDigestRequested,
        AccessDigest,
        AccessGrantsRequested,
        AccessGrantTold,
        AccessCodeKnown,
    )
}
