"""Steps that the tests of reconciliation share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from access_codes.models import AccessCode
from admit_one.messaging.testing import an_envelope, deliver, published
from admit_one.sealing import cipher
from shared_contracts.events import (
    AccessDigest,
    AccessDigestRequested,
    AccessGrantReported,
    UserSubscribed,
)

START = datetime(2026, 1, 2, tzinfo=UTC)
CODE = "7K3M-Q9TX-2WBD-H5RN"


def issued(count: int, **changes: Any) -> list[UUID]:
    """Codes of subscriptions that were paid second by second."""
    requests = [
        an_envelope(UserSubscribed, occurred_at=START + timedelta(seconds=n), **changes)
        for n in range(count)
    ]
    deliver(*requests)
    return [request.data.subscription_id for request in requests]


def digests(**changes: Any) -> list[AccessDigest]:
    """The answers to a request for a page; a page has two entries."""
    window = {"since": START, "until": START + timedelta(days=1), "limit": 2, "after": None}
    deliver(an_envelope(AccessDigestRequested, **{**window, **changes}))
    return [m.data for m in published() if isinstance(m.data, AccessDigest)]


def reported() -> list[AccessGrantReported]:
    return [m.data for m in published() if isinstance(m.data, AccessGrantReported)]


def lock(subscription: UUID) -> None:
    """Its code does not open any more."""
    AccessCode.objects.filter(pk=subscription).update(sealed_code=cipher.seal(b"", "another"))
