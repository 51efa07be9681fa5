"""The student side lists its codes as digests, page by page."""

from __future__ import annotations

from datetime import timedelta

import pytest
from access_codes.models import AccessCode
from admit_one.contract.envelope import Envelope
from admit_one.contract.strict_json import MAX_BYTES
from admit_one.messaging.testing import an_event, deliver, published
from django.db import connection
from django.test.utils import CaptureQueriesContext
from shared_contracts.events import AccessDigest, AccessDigestRequested, Position, code_digest

from tests.reconciliation.steps import START, digests, issued, make_unsealable

pytestmark = pytest.mark.django_db


def test_the_pages_list_each_code_once_in_the_order_of_payment() -> None:
    ids = issued(5)
    pages: list[AccessDigest] = []
    while not pages or pages[-1].next:
        pages = digests(after=pages[-1].next if pages else None)

    assert [[entry.subscription_id for entry in page.entries] for page in pages] == [
        ids[:2],
        ids[2:4],
        ids[4:],
    ]
    assert [page.after for page in pages] == [None, *(page.next for page in pages[:-1])]


def test_codes_paid_at_the_same_time_are_each_listed_once() -> None:
    ids = issued(3)
    AccessCode.objects.update(occurred_at=START)
    [first] = digests()
    _, second = digests(after=first.next)

    assert [e.subscription_id for e in (*first.entries, *second.entries)] == sorted(ids)
    assert second.next is None


def test_an_entry_has_the_digest_of_its_code_and_not_the_code() -> None:
    [subscription] = issued(1)
    [page] = digests()

    code = AccessCode.objects.get().code
    assert page.entries[0].digest == code_digest(subscription, code)
    assert page.entries[0].state == "active"
    assert code not in page.model_dump_json()


def test_the_window_includes_since_and_excludes_until() -> None:
    ids = issued(4)
    [page] = digests(since=START + timedelta(seconds=1), until=START + timedelta(seconds=3))

    assert [entry.subscription_id for entry in page.entries] == ids[1:3]
    assert page.next is None


def test_an_empty_window_is_answered_with_an_empty_page() -> None:
    [page] = digests()

    assert (page.entries, page.next) == ((), None)


def test_a_full_page_fits_in_a_message() -> None:
    issued(1_000, plan="x" * 64)
    digests(limit=1_000)

    reply = published()[-1]
    assert len(reply.data.entries) == 1_000
    assert len(reply.to_json()) < MAX_BYTES // 2


def test_identical_requests_in_one_batch_are_answered_once() -> None:
    request = an_event(AccessDigestRequested)
    deliver(Envelope.of(request), Envelope.of(request))

    assert len(published()) == 1


def test_a_page_costs_one_query_however_many_codes_there_are() -> None:
    issued(50)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        digests(limit=10)

    reads = [q["sql"] for q in captured if "access_codes_accesscode" in q["sql"]]
    assert len(reads) == 1


def test_an_unreadable_code_does_not_affect_the_others_on_its_page() -> None:
    unreadable, fine = issued(2)
    make_unsealable(unreadable)
    [page] = digests()

    code = AccessCode.objects.get(pk=fine).code
    assert [e.digest for e in page.entries] == ["0" * 32, code_digest(fine, code)]


def test_a_page_ends_with_the_position_of_its_last_entry() -> None:
    ids = issued(3)
    [page] = digests()

    assert page.next == Position(occurred_at=START + timedelta(seconds=1), subscription_id=ids[1])
