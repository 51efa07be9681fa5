"""What is lost on the way is requested again, and ends somewhere visible."""

from __future__ import annotations

import pytest
from admit_one.messaging.testing import deliver
from shared_contracts.events import (
    AccessCodeRestored,
)
from subscriptions.models import Drift, ReconciliationRun
from subscriptions.reconciliation import repairs, runs

from tests.factories import a_code_for
from tests.reconciliation.both_sides import (
    compared,
    latest,
    paid,
    pass_time,
    reported,
    requested,
)

pytestmark = pytest.mark.django_db
Kind, State, Runs = Drift.Kind, Drift.State, ReconciliationRun.State


def test_an_unanswered_page_is_requested_twelve_times() -> None:
    run = runs.start()
    runs.carry_on()
    at_once = len(requested())
    for _ in range(20):
        pass_time(runs.PAUSE)
        runs.carry_on()

    assert at_once == 1
    assert len(requested()) == runs.MOST_REQUESTS
    assert latest(run).state == Runs.UNANSWERED


def test_an_unanswered_repair_is_tried_three_times_then_needs_a_person() -> None:
    paid()
    run = compared({}, repair=True)
    for _ in range(5):
        pass_time(runs.PAUSE)
        runs.carry_on()

    assert len(requested(AccessCodeRestored)) == repairs.MOST_TRIES
    assert (latest(run).state, run.drifts.get().state) == (Runs.DRIFT, State.NEEDS_PERSON)


def test_an_answer_after_the_last_try_still_repairs() -> None:
    [lost] = paid()
    run = compared({}, repair=True)
    for _ in range(5):
        pass_time(runs.PAUSE)
        runs.carry_on()
    given_up = latest(run).state
    deliver(reported(lost))

    assert (given_up, latest(run).state) == (Runs.DRIFT, Runs.REPAIRED)


def test_the_sweep_ends_a_run_whose_codes_came() -> None:
    [pending] = paid(code=None)
    run = compared({}, repair=True)
    deliver(a_code_for(pending))
    runs.carry_on()

    assert ReconciliationRun.objects.get(id=run.id).state == Runs.REPAIRED
