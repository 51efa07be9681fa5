"""A comparison finds lost replacements, terms and revocations, and repairs whichever side lacks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.testing import deliver, published
from django.utils import timezone
from shared_contracts.events import (
    AccessCodeRestored,
    AccessGrantsRequested,
    AccessTermsApplied,
    AccessTermsChanged,
    codes_checksum,
)
from subscriptions.models import Drift, ReconciliationRun, Subscription
from subscriptions.reconciliation import runs

from tests.factories import CODE, OTHER_CODE
from tests.reconciliation.both_sides import (
    LONG_AGO,
    checksum,
    compared,
    drift,
    latest,
    paid,
    reported,
)

pytestmark = pytest.mark.django_db
Kind, State, Runs = Drift.Kind, Drift.State, ReconciliationRun.State

UNTIL = datetime(2030, 1, 1, tzinfo=UTC)


def with_state(**state: Any) -> UUID:
    """A paid subscription whose code arrived long ago, with this state."""
    [subscription] = paid()
    Subscription.objects.filter(pk=subscription).update(**state)
    OutboxMessage.objects.update(published_at=timezone.now())
    return subscription


def test_equal_terms_make_equal_checksums() -> None:
    subscription = with_state(terms_version=7, terms_applied=7)
    run = runs.start()
    deliver(checksum(codes_checksum([(subscription, CODE, 7)])))

    assert latest(run).state == Runs.CLEAN


def test_a_code_that_an_operator_revoked_agrees_with_a_revoked_one() -> None:
    subscription = with_state(code_revoked_at=timezone.now() - LONG_AGO)
    run = compared({subscription: CODE}, revoked=[subscription])

    assert run.state == Runs.CLEAN


@pytest.mark.parametrize(
    ("kind", "ours", "theirs"),
    [
        (Kind.REPLACEMENT_LOST, {"code_generation": 2}, {}),
        (Kind.CODE_DIFFERS, {}, {"generation": 2}),
        (Kind.TERMS_LOST, {"terms_version": 2, "terms_applied": 2}, {"version": 1}),
        (Kind.TERMS_DIFFER, {"terms_version": 1, "terms_applied": 1}, {"version": 2}),
        (Kind.REVOCATION_LOST, {"code_revoked_at": datetime(2026, 1, 1, tzinfo=UTC)}, {}),
    ],
)
def test_each_kind_of_lost_state_is_found(
    kind: Drift.Kind, ours: dict[str, Any], theirs: dict[str, int]
) -> None:
    subscription = with_state(**ours)
    run = compared({subscription: CODE}, entry=theirs)

    assert drift(run) == {subscription: (kind, State.OPEN)}


def test_terms_that_changed_lately_may_be_in_transit() -> None:
    now = int(timezone.now().timestamp() * 1000)
    subscription = with_state(terms_version=now)

    assert compared({subscription: CODE}).state == Runs.CLEAN


@pytest.mark.parametrize(
    "ours",
    [
        {"code_generation": 3, "uses_made": 5},
        {"code_revoked_at": datetime(2026, 1, 1, tzinfo=UTC)},
    ],
)
def test_what_the_student_side_has_lost_is_given_back_with_the_code(ours: dict[str, Any]) -> None:
    subscription = with_state(**ours)
    compared({subscription: CODE}, repair=True)

    [restored] = [m.data for m in published() if isinstance(m.data, AccessCodeRestored)]
    assert (restored.access_code, restored.generation, restored.uses_made) == (
        CODE,
        ours.get("code_generation", 1),
        ours.get("uses_made", 0),
    )
    assert restored.revoked_at == ours.get("code_revoked_at")


def test_lost_terms_are_requested_again_until_they_are_applied() -> None:
    subscription = with_state(terms_version=2, terms_applied=2, valid_until=UNTIL)
    run = compared({subscription: CODE}, repair=True, entry={"version": 1})
    [request] = [m for m in published() if isinstance(m.data, AccessTermsChanged)]
    before = latest(run).state
    deliver(request.follow(AccessTermsApplied(subscription_id=subscription, version=2)))

    assert (request.data.version, request.data.valid_until) == (2, UNTIL)
    assert (before, latest(run).state) == (Runs.REPAIRING, Runs.REPAIRED)


def test_later_terms_and_codes_of_the_student_side_are_adopted() -> None:
    subscription = with_state(terms_version=1, terms_applied=1)
    run = compared({subscription: CODE}, repair=True, entry={"generation": 2, "version": 9})
    assert [m.data for m in published() if isinstance(m.data, AccessGrantsRequested)]
    deliver(
        reported(
            subscription,
            access_code=OTHER_CODE,
            generation=2,
            version=9,
            valid_until=UNTIL,
            suspended=True,
            uses_made=4,
            suspension_version=3,
            suspended_by_operator=True,
        )
    )

    row = Subscription.objects.get()
    assert (row.code, row.code_generation) == (OTHER_CODE, 2)
    assert (row.terms_version, row.terms_applied, row.valid_until) == (9, 9, UNTIL)
    assert (row.uses_made, row.suspension_version, row.suspended_by_operator) == (4, 3, True)
    assert row.suspended_at is not None
    assert latest(run).state == Runs.REPAIRED


def test_an_earlier_code_of_the_student_side_is_not_adopted() -> None:
    subscription = with_state(code_generation=3)
    compared({subscription: CODE}, repair=True)
    deliver(reported(subscription, access_code=OTHER_CODE, generation=2))

    row = Subscription.objects.get()
    assert (row.code, row.code_generation) == (CODE, 3)


def test_a_revocation_by_an_operator_is_adopted_without_a_cancellation() -> None:
    subscription = with_state()
    compared({subscription: CODE}, repair=True, revoked=[subscription])
    deliver(reported(subscription, access_code=CODE, revoked_at=UNTIL.replace(year=2026)))

    row = Subscription.objects.get()
    assert (row.cancelled_at, row.code_revoked_at) == (None, UNTIL.replace(year=2026))
