"""The student side reports one checksum of each page of its codes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from access_codes.models import AccessCode
from admit_one.contract.envelope import Envelope
from admit_one.messaging.testing import an_envelope, an_event, deliver, published
from django.db import connection
from django.test.utils import CaptureQueriesContext
from shared_contracts.events import (
    REVOKED,
    AccessChecksum,
    AccessChecksumRequested,
    Position,
    SubscriptionCancelled,
    codes_checksum,
)

from tests.reconciliation.steps import START, issued, make_unsealable

pytestmark = pytest.mark.django_db


def checksums(**changes: Any) -> list[AccessChecksum]:
    """Request a checksum of two codes; returns all answers so far."""
    window = {"since": START, "until": START + timedelta(days=1), "limit": 2, "after": None}
    deliver(an_envelope(AccessChecksumRequested, **{**window, **changes}))
    return [m.data for m in published() if isinstance(m.data, AccessChecksum)]


def of(ids: Sequence[UUID]) -> str:
    codes = AccessCode.objects.in_bulk(list(ids))
    return codes_checksum((i, codes[i].code, 0) for i in ids)


def test_the_pages_cover_each_code_once_in_the_order_of_payment() -> None:
    ids = issued(5)
    pages: list[AccessChecksum] = []
    while not pages or pages[-1].next:
        pages = checksums(after=pages[-1].next if pages else None)

    assert [page.checksum for page in pages] == [of(ids[:2]), of(ids[2:4]), of(ids[4:])]
    assert [page.after for page in pages] == [None, *(page.next for page in pages[:-1])]


def test_a_page_ends_with_the_position_of_its_last_code() -> None:
    ids = issued(3)
    [page] = checksums()

    assert page.next == Position(occurred_at=START + timedelta(seconds=1), subscription_id=ids[1])


def test_a_revoked_and_an_unreadable_code_have_words_of_their_own() -> None:
    revoked, unreadable, fine = ids = issued(3)
    now = datetime.now(UTC)
    deliver(an_envelope(SubscriptionCancelled, subscription_id=revoked, cancelled_at=now))
    make_unsealable(unreadable)
    [page] = checksums(limit=3)

    code = AccessCode.objects.get(pk=fine).code
    words = zip(ids, [REVOKED, "0" * 32, code], [0] * 3, strict=True)
    assert (page.checksum, page.next) == (codes_checksum(words), None)


def test_an_empty_window_has_the_checksum_of_no_codes() -> None:
    [page] = checksums()

    assert (page.checksum, page.next) == (codes_checksum([]), None)


def test_identical_requests_in_one_batch_are_answered_once() -> None:
    request = an_event(AccessChecksumRequested)
    deliver(Envelope.of(request), Envelope.of(request))

    assert len(published()) == 1


def test_a_checksum_reads_the_codes_once_however_many_there_are() -> None:
    issued(50)
    with CaptureQueriesContext(connection) as captured:
        checksums(limit=10)

    reads = [q["sql"] for q in captured if '"sealed_code"' in q["sql"]]
    assert len(reads) == 1
