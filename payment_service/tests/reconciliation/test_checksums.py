"""Pages whose checksums agree are not compared entry by entry."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import pytest
from admit_one.messaging.testing import deliver
from django.db import connection
from django.test.utils import CaptureQueriesContext
from shared_contracts.events import (
    REVOKED,
    AccessChecksumRequested,
    AccessDigestRequested,
    codes_checksum,
)
from subscriptions.models import ReconciliationRun, Subscription
from subscriptions.reconciliation import checksums, runs

from tests.factories import CODE, OTHER_CODE
from tests.reconciliation.both_sides import (
    answer,
    cancelled,
    checksum,
    codes,
    drift,
    latest,
    paid,
    position_of,
    requested,
)

pytestmark = pytest.mark.django_db
Runs = ReconciliationRun.State


def of(theirs: Mapping[UUID, str]) -> str:
    return codes_checksum((pk, code, 0) for pk, code in theirs.items())


def test_pages_that_agree_are_counted_and_no_entries_requested() -> None:
    ids = paid(5)
    cancelled(ids[4])
    run = runs.start()
    deliver(checksum(of(codes(ids[:2])), next=position_of(ids[1])))
    deliver(checksum(of(codes(ids[2:4]) | {ids[4]: REVOKED})))

    run = latest(run)
    assert (run.state, run.compared, drift(run)) == (Runs.CLEAN, 5, {})
    assert [r.after for r in requested(AccessChecksumRequested)] == [None, position_of(ids[1])]
    assert requested(AccessDigestRequested) == []


@pytest.mark.parametrize("difference", ["code", "lost", "unknown", "revoked", "not received"])
def test_the_entries_of_a_page_that_differs_are_requested(difference: str) -> None:
    ids = paid(4)
    theirs = codes(ids)
    match difference:
        case "code":
            theirs[ids[1]] = OTHER_CODE
        case "lost":
            del theirs[ids[3]]
        case "unknown":
            theirs[UUID(int=7)] = CODE
        case "revoked":
            theirs[ids[0]] = REVOKED
        case "not received":
            Subscription.objects.filter(pk=ids[2]).update(access_code=None)
    run = runs.start()
    deliver(checksum(of(theirs)))

    [request] = requested(AccessDigestRequested)
    assert (request.after, latest(run).state, latest(run).compared) == (None, Runs.COMPARING, 0)


def test_a_code_that_neither_side_can_read_is_no_agreement() -> None:
    [unreadable] = paid()
    Subscription.objects.update(access_code=b"\x02xxunreadable")
    runs.start()
    deliver(checksum(of({unreadable: "0" * 32})))

    assert len(requested(AccessDigestRequested)) == 1


def test_a_checksum_follows_the_entries_of_a_page_that_differed() -> None:
    ids = paid(4)
    run = runs.start()
    deliver(answer(codes(ids[:2]), next=position_of(ids[1])))
    deliver(checksum(of(codes(ids[2:]))))

    assert len(requested(AccessDigestRequested)) == 1
    assert (latest(run).state, latest(run).compared) == (Runs.CLEAN, 4)


def test_a_repeated_or_late_checksum_changes_nothing() -> None:
    ids = paid(4)
    run = runs.start()
    early = checksum(of(codes(ids[:2])), next=position_of(ids[1]))
    deliver(early)
    deliver(early.follow(early.data))
    deliver(checksum(of(codes(ids[2:]))))
    deliver(early.follow(early.data))

    assert len(requested(AccessChecksumRequested)) == 2
    assert (latest(run).state, latest(run).compared) == (Runs.CLEAN, 4)


def test_a_page_of_theirs_makes_us_read_one_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The student side may have lost more codes than a page has."""
    monkeypatch.setattr(checksums, "MAX_CHECKED", 2)
    ids = paid(6)
    runs.start()
    with CaptureQueriesContext(connection) as captured:
        deliver(checksum(of({ids[0]: CODE})))

    reads = [q["sql"] for q in captured if 'FROM "subscriptions_subscription"' in q["sql"]]
    assert [sql for sql in reads if "LIMIT 3" not in sql] == []
    assert len(requested(AccessDigestRequested)) == 1
