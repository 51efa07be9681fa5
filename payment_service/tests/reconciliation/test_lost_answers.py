"""A lost answer is requested again; if none arrives, the run ends as unanswered."""

from __future__ import annotations

import pytest
from admit_one.messaging.testing import deliver, published
from shared_contracts.events import (
    AccessChecksumRequested,
    AccessCodeRestored,
    AccessDigestRequested,
)
from subscriptions.models import Drift, ReconciliationRun
from subscriptions.reconciliation import repairs, runs

from tests.factories import a_code_for
from tests.reconciliation.both_sides import (
    answer,
    codes,
    compared,
    latest,
    paid,
    pass_time,
    position_of,
    reported,
    requested,
)

pytestmark = pytest.mark.django_db
Kind, State, Runs = Drift.Kind, Drift.State, ReconciliationRun.State


def test_an_unanswered_page_is_requested_twelve_times() -> None:
    run = runs.start()
    runs.continue_unfinished()
    at_once = len(published())
    for _ in range(20):
        pass_time(runs.PAUSE)
        runs.continue_unfinished()

    assert at_once == 1
    assert len(published()) == runs.MAX_REQUESTS
    assert latest(run).state == Runs.UNANSWERED


def test_a_student_side_without_checksums_is_asked_for_entries() -> None:
    ids = paid(4)
    run = runs.start()
    pass_time(runs.PAUSE)
    runs.continue_unfinished()
    deliver(answer(codes(ids[:2]), next=position_of(ids[1])))
    deliver(answer(codes(ids[2:])))

    assert len(requested(AccessChecksumRequested)) == 1
    assert [request.after for request in requested(AccessDigestRequested)] == [
        None,
        position_of(ids[1]),
    ]
    assert (latest(run).state, latest(run).compared) == (Runs.CLEAN, 4)


def test_an_unanswered_repair_needs_a_person_after_three_tries() -> None:
    paid()
    run = compared({}, repair=True)
    for _ in range(5):
        pass_time(runs.PAUSE)
        runs.continue_unfinished()

    assert len(requested(AccessCodeRestored)) == repairs.MAX_TRIES
    assert (latest(run).state, run.drifts.get().state) == (Runs.DRIFT, State.NEEDS_PERSON)


def test_an_answer_after_the_last_try_still_repairs() -> None:
    [lost] = paid()
    run = compared({}, repair=True)
    for _ in range(5):
        pass_time(runs.PAUSE)
        runs.continue_unfinished()
    given_up = latest(run).state
    deliver(reported(lost))

    assert (given_up, latest(run).state) == (Runs.DRIFT, Runs.REPAIRED)


def test_the_sweep_ends_a_run_whose_codes_have_arrived() -> None:
    [pending] = paid(code=None)
    run = compared({}, repair=True)
    deliver(a_code_for(pending))
    runs.continue_unfinished()

    assert ReconciliationRun.objects.get(id=run.id).state == Runs.REPAIRED
