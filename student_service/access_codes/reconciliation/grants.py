"""Everything that is known about the codes in which the two sides differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from admit_one.contract import Envelope
from admit_one.logs import EventLogger
from admit_one.messaging import publish
from admit_one.sealing import cipher
from shared_contracts.events import (
    AccessCodeRestored,
    AccessGrantReported,
    AccessGrantsRequested,
)

from access_codes.models import PAID, AccessCode

logger = EventLogger(__name__)

Cause = Envelope[AccessGrantsRequested] | Envelope[AccessCodeRestored]


def report_grants(messages: Sequence[Envelope[AccessGrantsRequested]]) -> None:
    """Report each requested subscription that has a code."""
    report(
        (message, subscription)
        for message in messages
        for subscription in message.data.subscription_ids
    )


def report(requested: Iterator[tuple[Cause, UUID]]) -> None:
    """Report these subscriptions, as far as they have codes, each in answer to its message."""
    pairs = list(requested)
    codes = AccessCode.objects.filter(pk__in={subscription for _, subscription in pairs})
    known = codes.select_related("revocation").prefetch_related("mails").in_bulk()
    grants = (
        (cause, _grant(known[subscription], cause.data.run_id))
        for cause, subscription in pairs
        if subscription in known
    )
    publish(*(cause.follow(grant) for cause, grant in grants if grant is not None))


def _grant(row: AccessCode, run_id: UUID) -> AccessGrantReported | None:
    """None if it does not open: without a report, the payment side leaves it to a person."""
    # The first mail has the address that the first request gave.
    first = min(row.mails.all(), key=lambda mail: mail.id)
    try:
        code, address = row.code, first.address
    except cipher.Unsealable as error:
        logger.warning(
            "grant_not_reported", "{grant} cannot be reported: {error}", grant=row, error=error
        )
        return None
    return AccessGrantReported(
        subscription_id=row.subscription_id,
        run_id=run_id,
        email=address,
        access_code=code,
        issued_at=row.issued_at,
        cancelled_at=row.revocation.cancelled_at if row.is_revoked else None,
        **{name: getattr(row, name) for name in PAID},
    )
