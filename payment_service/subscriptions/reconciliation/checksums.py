"""Compares one checksum of each page: pages that agree need no entries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

from admit_one.messaging import Envelope
from admit_one.sealing import cipher
from django.db.models import Q
from shared_contracts.events import (
    ERASED,
    MAX_CHECKED,
    REVOKED,
    AccessChecksum,
    Position,
    codes_checksum,
)

from subscriptions.models import CODE_PURPOSE, ReconciliationRun, Subscription

from . import runs

Row = tuple[UUID, bytes | memoryview | None, bool, int, datetime | None, datetime | None]
"""The subscription, its sealed code, whether it was revoked, the version of its terms, and when
its code was issued and its person erased."""

REVOKED_HERE = Q(cancelled_at__isnull=False) | Q(code_revoked_at__isnull=False)


def compare_checksums(messages: Sequence[Envelope[AccessChecksum]]) -> None:
    """Continue each run behind a page that agrees; request the entries of one that does not."""
    for message in messages:
        run = runs.lock_comparing(message.data.run_id, message.data.after)
        if run is not None:
            _continue(run, message.data)


def _continue(run: ReconciliationRun, theirs: AccessChecksum) -> None:
    """What may be in transit makes a page differ, too; the comparison of its entries knows that."""
    ours = _ours(run, theirs.next)
    if len(ours) <= MAX_CHECKED and codes_checksum(_codes(ours)) == theirs.checksum:
        run.compared += len(ours)
        runs.advance(run, theirs.next)
    else:
        runs.request_entries(run)


def _ours(run: ReconciliationRun, end: Position | None) -> list[Row]:
    """Our subscriptions from the run's position up to `end`; of more than a page, one too many."""
    paid = Subscription.objects.paid_between(run.since, run.until, run.after, end)
    # These are all subscriptions of the window, so each column and each object of Python counts.
    rows = paid.annotate(is_revoked=REVOKED_HERE).values_list(
        "id", "access_code", "is_revoked", "terms_version", "code_issued_at", "erased_at"
    )
    return list(rows[: MAX_CHECKED + 1].iterator(chunk_size=MAX_CHECKED + 1))


def _codes(rows: Sequence[Row]) -> Iterator[tuple[UUID, str, int]]:
    for subscription_id, sealed, is_revoked, version, issued_at, erased_at in rows:
        if erased_at is not None and issued_at is not None:
            yield subscription_id, ERASED, 0
        elif is_revoked:
            yield subscription_id, REVOKED, 0
        else:
            yield subscription_id, _code(sealed, subscription_id), version


def _code(sealed: bytes | memoryview | None, subscription_id: UUID) -> str:
    """Empty if there is none that can be read: no checksum of theirs has that."""
    try:
        if sealed is None:
            return ""
        return cipher.unseal(sealed, CODE_PURPOSE, subscription_id).decode()
    except cipher.Unsealable:
        return ""
