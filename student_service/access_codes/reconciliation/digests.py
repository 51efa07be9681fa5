"""Reports the codes page after page: as one checksum of each page, or as digests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from admit_one.messaging import Envelope, Rejected, publish
from admit_one.sealing import cipher
from shared_contracts.events import (
    ACTIVE,
    ERASED,
    REVOKED,
    AccessChecksum,
    AccessChecksumRequested,
    AccessDigest,
    AccessDigestRequested,
    DigestEntry,
    Position,
    code_digest,
    codes_checksum,
)

from access_codes.models import CODE_PURPOSE, AccessCode

from . import answered

Row = tuple[UUID, bytes | memoryview | None, UUID | None, int | None]
"""The subscription, its sealed code, itself again if the code was revoked, the terms' version.

An erased code is none."""

UNREADABLE = "0" * 32
"""The digest of a code that cannot be unsealed; the payment side then sees a difference."""


def report_digests(messages: Sequence[Envelope[AccessDigestRequested]]) -> list[Rejected]:
    """Answer each request with a page of digests; identical requests in a batch get one answer.

    Rejects requests that leave the window of their run.
    """
    admitted, rejected = answered.admit(messages)
    requests = {(message.data.run_id, message.data.after): message for message in admitted}
    publish(*(message.follow(_page(message.data)) for message in requests.values()))
    return rejected


def report_checksums(messages: Sequence[Envelope[AccessChecksumRequested]]) -> list[Rejected]:
    """Answer each request with a checksum; identical requests in a batch get one answer.

    Rejects requests that leave the window of their run.
    """
    admitted, rejected = answered.admit(messages)
    requests = {(message.data.run_id, message.data.after): message for message in admitted}
    publish(*(message.follow(_checksum(message.data)) for message in requests.values()))
    return rejected


def _checksum(request: AccessChecksumRequested) -> AccessChecksum:
    paid = AccessCode.objects.paid_between(request.since, request.until, request.after)
    # These are all codes of the window, so each column and each object of Python counts.
    rows = paid.values_list("subscription_id", "sealed_code", "revocation", "terms__version")
    rows = rows[: request.limit + 1]
    page: list[Row] = list(rows.iterator(chunk_size=request.limit + 1))
    more = len(page) > request.limit
    page = page[: request.limit]
    return AccessChecksum(
        run_id=request.run_id,
        after=request.after,
        checksum=codes_checksum(_codes(page)),
        next=_position(page[-1][0]) if more else None,
    )


def _position(subscription_id: UUID) -> Position:
    paid = AccessCode.objects.values_list("occurred_at", flat=True).get(pk=subscription_id)
    return Position(occurred_at=paid, subscription_id=subscription_id)


def _codes(page: Sequence[Row]) -> Iterator[tuple[UUID, str, int]]:
    for subscription_id, sealed, revocation, version in page:
        if sealed is None:
            yield subscription_id, ERASED, 0
        elif revocation is None:
            yield subscription_id, _code(sealed, subscription_id), version or 0
        else:
            yield subscription_id, REVOKED, 0


def _code(sealed: bytes | memoryview, subscription_id: UUID) -> str:
    try:
        return cipher.unseal(sealed, CODE_PURPOSE, subscription_id).decode()
    except cipher.Unsealable:
        return UNREADABLE


def _page(request: AccessDigestRequested) -> AccessDigest:
    paid = AccessCode.objects.paid_between(request.since, request.until, request.after)
    rows = list(paid.select_related("revocation", "terms")[: request.limit + 1])
    page, more = rows[: request.limit], rows[request.limit :]
    return AccessDigest(
        run_id=request.run_id,
        after=request.after,
        entries=tuple(_entry(row) for row in page),
        next=Position.model_validate(page[-1], from_attributes=True) if more else None,
    )


def _entry(row: AccessCode) -> DigestEntry:
    try:
        digest = code_digest(row.subscription_id, row.code)
    except cipher.Unsealable:
        digest = UNREADABLE
    return DigestEntry(
        subscription_id=row.subscription_id,
        state=_state(row),
        digest=digest,
        generation=row.generation,
        version=row.terms.version if row.has_terms else 0,
    )


def _state(row: AccessCode) -> str:
    if row.sealed_code is None:
        return ERASED
    return REVOKED if row.is_revoked else ACTIVE
