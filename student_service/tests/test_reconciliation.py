"""The student side reports what it has, by pages, and restores what it has lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from access_codes.models import AccessCode, MailIntent
from admit_one.contract.envelope import Envelope
from admit_one.contract.strict_json import MAX_BYTES
from admit_one.messaging.testing import an_envelope, an_event, deliver, published
from admit_one.sealing import cipher
from django.db import connection
from django.test.utils import CaptureQueriesContext
from shared_contracts.events import (
    AccessCodeRestored,
    AccessDigest,
    AccessDigestRequested,
    AccessGrantReported,
    AccessGrantsRequested,
    Position,
    SubscriptionCancelled,
    UserSubscribed,
    code_digest,
)
from uuid_utils.compat import uuid7

pytestmark = pytest.mark.django_db

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


def test_the_pages_hold_each_code_once_in_the_order_of_the_payments() -> None:
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


def test_codes_paid_at_the_same_moment_are_each_listed_once() -> None:
    ids = issued(3)
    AccessCode.objects.update(occurred_at=START)
    [first] = digests()
    _, second = digests(after=first.next)

    assert [e.subscription_id for e in (*first.entries, *second.entries)] == sorted(ids)
    assert second.next is None


def test_an_entry_distinguishes_codes_without_showing_them() -> None:
    [subscription] = issued(1)
    [page] = digests()

    code = AccessCode.objects.get().code
    assert page.entries[0].digest == code_digest(subscription, code)
    assert page.entries[0].state == "active"
    assert code not in page.model_dump_json()


def test_a_revoked_code_is_reported_with_the_time_of_its_cancellation() -> None:
    kept, revoked = issued(2)
    at = START + timedelta(days=30)
    deliver(an_envelope(SubscriptionCancelled, subscription_id=revoked, cancelled_at=at))
    [page] = digests()
    deliver(an_envelope(AccessGrantsRequested, subscription_ids=[kept, revoked]))

    assert {e.subscription_id: e.state for e in page.entries} == {
        kept: "active",
        revoked: "revoked",
    }
    assert {g.subscription_id: g.cancelled_at for g in reported()} == {kept: None, revoked: at}


def test_the_window_begins_with_since_and_ends_before_until() -> None:
    ids = issued(4)
    [page] = digests(since=START + timedelta(seconds=1), until=START + timedelta(seconds=3))

    assert [entry.subscription_id for entry in page.entries] == ids[1:3]
    assert page.next is None


def test_a_request_without_codes_is_answered_too() -> None:
    [page] = digests()

    assert (page.entries, page.next) == ((), None)


def test_a_full_page_fits_in_a_message() -> None:
    issued(1_000, plan="x" * 64)
    digests(limit=1_000)

    reply = published()[-1]
    assert len(reply.data.entries) == 1_000
    assert len(reply.to_json()) < MAX_BYTES // 2


def test_two_equal_requests_in_one_batch_are_answered_once() -> None:
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


def test_a_known_subscription_is_reported_in_full_an_unknown_one_is_not() -> None:
    [subscription] = issued(1)
    run, unknown = uuid7(), uuid7()
    request = an_envelope(
        AccessGrantsRequested, run_id=run, subscription_ids=[subscription, unknown]
    )
    deliver(request)

    row, reply = AccessCode.objects.get(), published()[-1]
    assert reported() == [
        AccessGrantReported(
            subscription_id=subscription,
            run_id=run,
            user_id="user-42",
            email="ada@example.com",
            plan="gold",
            amount=4900,
            currency="EUR",
            occurred_at=START,
            access_code=row.code,
            issued_at=row.issued_at,
        )
    ]
    assert (reply.subject, reply.correlationid, reply.causationid) == (
        str(subscription),
        str(run),
        request.id,
    )


def test_a_lost_code_is_restored_unchanged_and_not_mailed_again() -> None:
    known = an_envelope(AccessCodeRestored, access_code=CODE)
    deliver(known)

    row, mail = AccessCode.objects.get(), MailIntent.objects.get()
    assert (row.code, row.issued_at, row.occurred_at) == (
        CODE,
        known.data.issued_at,
        known.data.occurred_at,
    )
    assert (mail.state, mail.address) == (MailIntent.State.UNKNOWN, known.data.email)
    assert not MailIntent.objects.due().exists()
    assert [grant.access_code for grant in reported()] == [CODE]


def test_a_later_request_gets_the_restored_code() -> None:
    known = an_envelope(AccessCodeRestored, access_code=CODE)
    deliver(known, Envelope.of(known.data))
    deliver(an_envelope(UserSubscribed, subscription_id=known.data.subscription_id))

    assert published()[-1].data.access_code == CODE
    assert MailIntent.objects.count() == 1


def test_a_code_that_exists_stays_and_is_reported() -> None:
    [subscription] = issued(1)
    here = AccessCode.objects.get().code
    deliver(
        an_envelope(AccessCodeRestored, subscription_id=subscription, access_code=CODE, amount=1)
    )

    assert (AccessCode.objects.get().code, AccessCode.objects.get().amount) == (here, 4900)
    assert MailIntent.objects.count() == 1
    assert [grant.access_code for grant in reported()] == [here]


def lock(subscription: UUID) -> None:
    """Its code does not open any more."""
    AccessCode.objects.filter(pk=subscription).update(sealed_code=cipher.seal(b"", "another"))


def test_a_code_that_does_not_open_spoils_no_other_of_its_page() -> None:
    locked, fine = issued(2)
    lock(locked)
    [page] = digests()

    code = AccessCode.objects.get(pk=fine).code
    assert [e.digest for e in page.entries] == ["0" * 32, code_digest(fine, code)]


def test_codes_that_do_not_open_are_logged_and_not_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    locked, without_address, fine = issued(3)
    lock(locked)
    MailIntent.objects.filter(access_code=without_address).update(
        recipient=cipher.seal(b"", "another")
    )
    deliver(
        an_envelope(AccessGrantsRequested, subscription_ids=[locked, without_address, fine]),
        an_envelope(AccessCodeRestored, subscription_id=locked, access_code=CODE, amount=1),
    )

    assert [grant.subscription_id for grant in reported()] == [fine]
    assert AccessCode.objects.get(pk=locked).amount == 4900
    assert f"code of {locked} cannot be reported" in caplog.text
    assert f"code of {without_address} cannot be reported" in caplog.text


def test_no_code_and_no_address_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    deliver(an_envelope(AccessCodeRestored, access_code=CODE))

    assert "restored 1 lost codes" in caplog.text
    assert CODE not in caplog.text
    assert "ada@" not in caplog.text


def test_a_page_ends_at_a_payment_time_and_a_subscription() -> None:
    ids = issued(3)
    [page] = digests()

    assert page.next == Position(occurred_at=START + timedelta(seconds=1), subscription_id=ids[1])
