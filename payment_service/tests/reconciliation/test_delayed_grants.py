"""A run waits for as long as the student side says that its grants wait, and shows how many do."""

from __future__ import annotations

from datetime import datetime, timedelta
from io import StringIO

import pytest
from admit_one.contract.envelope import Envelope
from admit_one.messaging.inbox import Result
from admit_one.messaging.testing import an_envelope, deliver
from django.core.management import call_command
from django.db.models import F
from django.utils import timezone
from shared_contracts.events import AccessGrantsDelayed, AccessGrantsRequested
from subscriptions.models import Drift, ReconciliationRun
from subscriptions.reconciliation import repairs, runs
from uuid_utils.compat import uuid7

from tests.factories import CODE
from tests.reconciliation.both_sides import compared, latest, pass_time, reported, requested

pytestmark = pytest.mark.django_db
STEP = timedelta(minutes=20)
State, Runs = Drift.State, ReconciliationRun.State


def delay(run: ReconciliationRun, until: datetime) -> None:
    deliver(Envelope.of(AccessGrantsDelayed(run_id=run.id, until=until)))
    run.refresh_from_db()


def hours_pass(run: ReconciliationRun, hours: int, *, announced: bool = True) -> None:
    """At the start of each hour the student side says that grants wait, if it is `announced`."""
    for _ in range(hours):
        if announced:
            delay(run, timezone.now() + timedelta(hours=1))
        for _ in range(3):
            pass_time(STEP)
            ReconciliationRun.objects.update(grants_wait_until=F("grants_wait_until") - STEP)
            runs.continue_unfinished()


def show(run: ReconciliationRun) -> str:
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("reconcile", "show", str(run.id), stdout=out)
    return out.getvalue()


def test_a_run_whose_grants_wait_is_patient_for_a_day() -> None:
    first, *others = ids = [uuid7() for _ in range(3)]
    run = compared(dict.fromkeys(ids, CODE), repair=True)
    hours_pass(run, 12)
    deliver(reported(first))
    hours_pass(run, 12)
    waiting = latest(run).state
    deliver(*(reported(each) for each in others))

    assert len(requested(AccessGrantsRequested)) == 1
    assert (waiting, latest(run).state) == (Runs.REPAIRING, Runs.REPAIRED)


def test_a_student_side_that_says_nothing_more_is_given_up_as_ever() -> None:
    run = compared({uuid7(): CODE}, repair=True)
    hours_pass(run, 3)
    hours_pass(run, 2, announced=False)

    assert len(requested(AccessGrantsRequested)) == repairs.MAX_TRIES
    assert run.drifts.get().state == State.NEEDS_PERSON


def test_a_grant_that_comes_after_it_was_given_up_is_still_accepted() -> None:
    unpaid = uuid7()
    run = compared({unpaid: CODE}, repair=True)
    hours_pass(run, 2, announced=False)
    given_up = latest(run).state
    deliver(reported(unpaid))

    assert (given_up, latest(run).state) == (Runs.DRIFT, Runs.REPAIRED)


def test_the_run_shows_how_many_wait_until_when_and_who_may_lift_it() -> None:
    ids = [uuid7() for _ in range(3)]
    run = compared(dict.fromkeys(ids, CODE), repair=True)
    before = show(run)
    until = timezone.now() + timedelta(minutes=30)
    delay(run, until)
    deliver(reported(ids[0]))

    assert "waits" not in before
    assert (
        f"waits       2 for the student side's GRANTS_AN_HOUR, until {until:%Y-%m-%d %H:%M:%S}Z\n"
    ) in show(run)
    assert f"manage.py grants lift {run.id} --reason" in show(run)


def test_of_several_delays_in_any_order_the_latest_counts() -> None:
    run = compared({uuid7(): CODE}, repair=True)
    late, early = timezone.now() + timedelta(minutes=50), timezone.now()
    delay(run, late)
    delay(run, early)
    first = run.grants_wait_until
    events = [AccessGrantsDelayed(run_id=run.id, until=at) for at in (late, early)]
    deliver(*map(Envelope.of, events))
    run.refresh_from_db()

    assert (first, run.grants_wait_until) == (late, late)


def test_no_delay_is_believed_for_longer_than_the_next_hour() -> None:
    run = compared({uuid7(): CODE}, repair=True)
    deliver(
        Envelope.of(AccessGrantsDelayed(run_id=run.id, until="9999-12-31T00:00:00Z"))  # type: ignore[arg-type]
    )
    run.refresh_from_db()

    assert run.grants_wait_until is not None
    ahead = run.grants_wait_until - timezone.now()
    assert timedelta(hours=1) < ahead <= timedelta(hours=1, minutes=5)


def test_a_delay_of_an_unknown_run_changes_nothing() -> None:
    [outcome] = deliver(an_envelope(AccessGrantsDelayed))

    assert outcome.result == Result.HANDLED
    assert not ReconciliationRun.objects.exists()
