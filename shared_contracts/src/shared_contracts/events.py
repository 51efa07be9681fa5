"""The events that the two services exchange.

First the life of a subscription, then the reconciliation, then the end of what is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Annotated
from uuid import UUID

from admit_one.contract import Event
from admit_one.contract.fields import (
    MAX_AMOUNT,
    Amount,
    Currency,
    Email,
    Moment,
    UserId,
    Uuid,
    Visible,
)
from admit_one.contract.languages import Language
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

ACTIVE, REVOKED, ERASED = "active", "revoked", "erased"
"""States of a code in an `access_digest`; the latter two also stand for the code in a checksum."""


MAX_USES = 1_000_000

Generation = Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]
"""1 for the first code of a subscription; each code that replaces another counts one more."""


def _is_absent(value: object) -> bool:
    return value is None or value is False or value == 0


def _is_first(generation: int) -> bool:
    return generation == 1


class Terms(Event):
    """Base of the events that carry the terms of an access: all that can be changed and undone.

    The payment side raises `version` with each change, to the time in milliseconds since 1970 or
    by one, so that a side that has lost its latest changes does not use a version again. A reader
    keeps the terms with the highest version, so their order does not matter. Without terms
    (`version` 0) a code is valid for good.
    """

    about = "subscription_id"

    version: int = Field(
        default=0, ge=0, le=MAX_AMOUNT, strict=True, exclude_if=_is_absent, examples=[0]
    )
    valid_from: Moment | None = Field(default=None, exclude_if=_is_absent)
    valid_until: Moment | None = Field(default=None, exclude_if=_is_absent)
    """When the code stops working; this moment is no longer included."""
    uses: int | None = Field(default=None, ge=1, le=MAX_USES, strict=True, exclude_if=_is_absent)
    """How often the code may be redeemed; none for any number."""
    suspended: bool = Field(default=False, strict=True, exclude_if=_is_absent, examples=[False])
    """Whether the payment side suspends the access, such as for a payment that is long due."""


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
    test: bool = Field(default=False, strict=True, exclude_if=_is_absent, examples=[False])
    """Whether it was paid with a test key: then its mails go to listed addresses only."""
    language: Language = Field(default=None, exclude_if=_is_absent)
    """Of the mails to the user; none, and any that is not known, for the reader's default."""


class AccessState(Terms):
    """Base of the events by which one side gives back to the other what it has lost."""

    generation: Generation = Field(default=1, exclude_if=_is_first)
    uses_made: int = Field(default=0, ge=0, le=MAX_AMOUNT, strict=True, exclude_if=_is_absent)
    suspension_version: int = Field(
        default=0, ge=0, le=MAX_AMOUNT, strict=True, exclude_if=_is_absent
    )
    suspended_by_operator: bool = Field(default=False, strict=True, exclude_if=_is_absent)
    """As in `access_suspension_changed`."""
    revoked_at: Moment | None = Field(default=None, exclude_if=_is_absent)


class UserSubscribed(Terms, Paid):
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


class AccessTermsChanged(Terms):
    """The terms of an access have changed: its time, its uses, or whether it is suspended."""

    type = "access_terms_changed"
    producer = "payment_service"
    signed = False

    subscription_id: Uuid
    version: int = Field(ge=1, le=MAX_AMOUNT, strict=True, examples=[2])


class AccessTermsApplied(Event):
    """The student side has the terms of this version, or later ones."""

    type = "access_terms_applied"
    producer = "student_service"
    signed = False
    about = "subscription_id"

    subscription_id: Uuid
    version: int = Field(ge=1, le=MAX_AMOUNT, strict=True, examples=[2])


class AccessCodeCreated(Event):
    """A subscription has an access code. If this is sent again, the code is the same."""

    type = "access_code_created"
    producer = "student_service"
    about = "subscription_id"
    signed = False
    sealed_for = "payment_service"
    sealed_only = True
    sensitive = frozenset({"access_code"})

    subscription_id: Uuid
    user_id: UserId
    access_code: Sealed[Code]
    issued_at: Moment


class AccessCodeReplaced(Event):
    """A subscription has another code, and the codes before it no longer work.

    The reader keeps the code with the highest generation. `access_code_created` has the first.
    """

    type = "access_code_replaced"
    producer = "student_service"
    about = "subscription_id"
    signed = False
    sealed_for = "payment_service"
    sealed_only = True
    sensitive = frozenset({"access_code"})

    subscription_id: Uuid
    generation: Annotated[Generation, Field(ge=2, examples=[2])]
    access_code: Sealed[Code]
    issued_at: Moment


class AccessCodeRedeemed(Event):
    """A code was redeemed. `uses` counts all of its subscription, so the highest is the latest."""

    type = "access_code_redeemed"
    producer = "student_service"
    signed = False
    about = "subscription_id"

    subscription_id: Uuid
    uses: int = Field(ge=1, le=MAX_AMOUNT, strict=True, examples=[1])
    redeemed_at: Moment


class AccessSuspensionChanged(Event):
    """An operator of the student side has suspended an access, or lifted that again.

    The reader keeps the highest `version`, which is made like that of `Terms`.
    """

    type = "access_suspension_changed"
    producer = "student_service"
    signed = False
    about = "subscription_id"

    subscription_id: Uuid
    version: int = Field(ge=1, le=MAX_AMOUNT, strict=True, examples=[1])
    suspended: bool = Field(strict=True, examples=[True])


class AccessCodeRevoked(Event):
    """A code no longer works, even if it is only issued later.

    Its subscription was cancelled, or an operator of the student side has revoked it.
    """

    type = "access_code_revoked"
    producer = "student_service"
    signed = False
    about = "subscription_id"

    subscription_id: Uuid
    revoked_at: Moment


class AccessCodeEmailed(Event):
    """The mail server has accepted a mail with a subscription's code."""

    type = "access_code_emailed"
    producer = "student_service"
    signed = False
    about = "subscription_id"

    subscription_id: Uuid
    emailed_at: Moment


class AccessCodeFailed(Event):
    """A request for a code cannot be handled until an operator of the student side acts.

    A code that comes later ends this.
    """

    type = "access_code_failed"
    producer = "student_service"
    signed = False
    about = "subscription_id"

    subscription_id: Uuid
    reason: str = Field(min_length=1, max_length=300)
    """Human-readable."""
    failed_at: Moment


class AccessCodeUndeliverable(Event):
    """The mail with a subscription's code was given up, or bounced. The code itself is valid."""

    type = "access_code_undeliverable"
    producer = "student_service"
    signed = False
    about = "subscription_id"

    subscription_id: Uuid
    reason: str = Field(min_length=1, max_length=300)
    """Human-readable; without the address."""
    failed_at: Moment


class AccessCodeExpiringSoon(Event):
    """A code that lets in expires soon, and its user is warned by mail, once for each end."""

    type = "access_code_expiring_soon"
    producer = "student_service"
    signed = False
    about = "subscription_id"

    subscription_id: Uuid
    valid_until: Moment
    """As in the latest terms here; whoever knows later ones ignores this."""
    noted_at: Moment


class AccessCodeResendRequested(Event):
    """Requests that the code that works be mailed again, once it exists.

    `version` is raised like that of `Terms`; a reader handles only the highest, and that one once.
    """

    type = "access_code_resend_requested"
    producer = "payment_service"
    about = "subscription_id"
    signed = True
    sealed_for = "student_service"
    sensitive = frozenset({"email"})

    subscription_id: Uuid
    version: int = Field(ge=1, le=MAX_AMOUNT, strict=True, examples=[1])
    email: Sealed[Email | None] = None
    """Where to, if the address was ever corrected; none for where the latest mail went."""


class AccessCodeResendAnswered(Event):
    """The request of this version to mail a code again was handled, or later ones were.

    Its mail is written, and reported like any other mail; or it was refused.
    """

    type = "access_code_resend_answered"
    producer = "student_service"
    signed = False
    about = "subscription_id"

    subscription_id: Uuid
    version: int = Field(ge=1, le=MAX_AMOUNT, strict=True, examples=[1])
    refused: str | None = Field(default=None, min_length=1, max_length=300)
    """Why no mail is written, human-readable; none if one is."""
    answered_at: Moment


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
    """`ACTIVE`, `REVOKED` or `ERASED`; other states may follow."""
    digest: str = Field(pattern=r"^[0-9a-f]{32}$")
    """The `code_digest` of the code."""
    generation: Generation = Field(default=1, exclude_if=_is_first)
    """Of two codes that differ, the one of the higher generation works."""
    version: int = Field(default=0, ge=0, le=MAX_AMOUNT, strict=True, exclude_if=_is_absent)
    """The version of the terms; 0 if there are none."""


def code_digest(subscription_id: UUID, access_code: str) -> str:
    """The first 16 bytes of SHA-256 over `subscription id:code`, in hex, to compare two codes.

    A code has 80 random bits, so its digest cannot be reversed by brute force.
    """
    return hashlib.sha256(f"{subscription_id}:{access_code}".encode()).hexdigest()[:32]


def codes_checksum(codes: Iterable[tuple[UUID, str, int]]) -> str:
    """The first 16 bytes of SHA-256 over a line `subscription id:code` for each, in hex.

    Where there are terms, `:` and their version follow. Sorted as in a page of digests. A revoked
    code is `REVOKED`, an erased one `ERASED`, without a version.
    """
    lines = "".join(
        f"{subscription_id}:{code}:{version}\n" if version else f"{subscription_id}:{code}\n"
        for subscription_id, code, version in codes
    )
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


class AccessGrantReported(AccessState, Paid):
    """All that the student side knows about a subscription and its code."""

    type = "access_grant_reported"
    producer = "student_service"
    signed = False
    sealed_for = "payment_service"
    sealed_only = True
    sensitive = frozenset({"email", "access_code"})

    run_id: Uuid
    access_code: Sealed[Code]
    issued_at: Moment
    cancelled_at: Moment | None = Field(default=None, exclude_if=_is_absent)
    """When the subscription was cancelled, if it was; its code is then revoked."""
    emailed_at: Moment | None = Field(default=None, exclude_if=_is_absent)
    """When the mail server last accepted a mail with the code."""


class AccessGrantsDelayed(Event):
    """The grants of a run that were not reported yet wait: an hour's share is used up."""

    type = "access_grants_delayed"
    producer = "student_service"
    signed = False
    about = "run_id"

    run_id: Uuid
    until: Moment
    """When the next ones are reported, at the earliest."""


class AccessCodeRestored(AccessState, Paid):
    """The code of a subscription that the student side has lost."""

    type = "access_code_restored"
    producer = "payment_service"
    signed = True
    sealed_for = "student_service"
    sensitive = frozenset({"email", "access_code"})

    run_id: Uuid
    access_code: Sealed[Code]
    issued_at: Moment


class Erasure(Event):
    """Base of the events about an erasure. Signed, because a forged one would destroy data."""

    about = "subscription_id"
    about_erasure = True

    subscription_id: Uuid
    erasure_id: Uuid
    """Names what was erased together, on both sides."""


class SubscriptionErasureRequested(Erasure):
    """The payment side has erased who is behind a subscription: erase its access, too."""

    type = "subscription_erasure_requested"
    producer = "payment_service"
    signed = True


class AccessErased(Erasure):
    """The student side keeps nothing more of the person behind a subscription."""

    type = "access_erased"
    producer = "student_service"
    signed = True

    erased_at: Moment


class AccessErasureRequested(Erasure):
    """The student side has erased who is behind an access: erase its subscription, too."""

    type = "access_erasure_requested"
    producer = "student_service"
    signed = True


class SubscriptionErased(Erasure):
    """The payment side keeps nothing more of the person behind a subscription."""

    type = "subscription_erased"
    producer = "payment_service"
    signed = True

    erased_at: Moment
