"""Pages of codes for the payment side to compare: each code as a digest, never in clear."""

from __future__ import annotations

from collections.abc import Sequence

from admit_one.contract import Envelope
from admit_one.messaging import publish
from admit_one.sealing import cipher
from shared_contracts.events import (
    ACTIVE,
    REVOKED,
    AccessDigest,
    AccessDigestRequested,
    DigestEntry,
    Position,
    code_digest,
)

from access_codes.models import AccessCode

UNREADABLE = "0" * 32
"""The digest of a code that does not open, so that the sides differ in this one only."""


def report_digests(messages: Sequence[Envelope[AccessDigestRequested]]) -> None:
    """Answer each request with a page of digests; equal requests in one batch get one answer."""
    requests = {(message.data.run_id, message.data.after): message for message in messages}
    publish(*(message.follow(_page(message.data)) for message in requests.values()))


def _page(request: AccessDigestRequested) -> AccessDigest:
    after = (request.after.occurred_at, request.after.subscription_id) if request.after else None
    codes = AccessCode.objects.paid_between(request.since, request.until, after)
    rows = list(codes.select_related("revocation")[: request.limit + 1])
    page, more = rows[: request.limit], rows[request.limit :]
    return AccessDigest(
        run_id=request.run_id,
        after=request.after,
        entries=tuple(_entry(row) for row in page),
        next=_position(page[-1]) if more else None,
    )


def _entry(row: AccessCode) -> DigestEntry:
    return DigestEntry(
        subscription_id=row.subscription_id,
        state=REVOKED if row.is_revoked else ACTIVE,
        digest=_digest(row),
    )


def _digest(row: AccessCode) -> str:
    try:
        return code_digest(row.subscription_id, row.code)
    except cipher.Unsealable:
        return UNREADABLE


def _position(row: AccessCode) -> Position:
    return Position(occurred_at=row.occurred_at, subscription_id=row.subscription_id)
