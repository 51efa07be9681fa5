"""A daily run compares what is old enough, and its drift is a metric."""

from __future__ import annotations

from datetime import timedelta

import pytest
from admit_one.messaging.testing import deliver, published
from django.utils import timezone
from shared_contracts.events import AccessChecksumRequested
from subscriptions import metrics, tasks
from subscriptions.models import Drift, ReconciliationRun
from subscriptions.reconciliation import runs
from subscriptions.reconciliation.window import WrongWindow

from tests.factories import CODE, a_subscription
from tests.reconciliation.both_sides import (
    answer,
    compared,
    latest,
    paid,
    reported,
    requested,
)

pytestmark = pytest.mark.django_db
Kind, State, Runs = Drift.Kind, Drift.State, ReconciliationRun.State


def drift_metric() -> dict[str, float]:
    _, family = metrics.drift()
    return {s.labels["kind"]: s.value for s in family.samples if s.value}


def test_a_window_that_ends_too_late_or_is_empty_is_refused() -> None:
    with pytest.raises(WrongWindow, match="expected a window that ends by"):
        runs.start(until=timezone.now() - timedelta(minutes=14))
    with pytest.raises(WrongWindow, match="begins before its end"):
        runs.start(since=timezone.now())

    assert published() == []


def test_the_task_starts_one_run_a_day_which_repairs_nothing() -> None:
    paid()
    tasks.reconcile()
    tasks.reconcile()

    [run] = ReconciliationRun.objects.all()
    assert (run.repair, len(requested(AccessChecksumRequested))) == (False, 1)


def test_the_task_starts_no_run_if_nothing_is_old_enough() -> None:
    a_subscription()
    tasks.reconcile()

    assert not ReconciliationRun.objects.exists()


def test_the_metric_shows_the_drift_of_the_latest_daily_run() -> None:
    paid(2)
    before = drift_metric()
    runs.start_daily()
    deliver(answer({}))

    age, _ = metrics.drift()
    assert (before, drift_metric()) == ({}, {"code_lost": 2})
    assert 0 < age.samples[0].value < 60


def test_unanswered_runs_and_runs_of_other_windows_hide_no_drift(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paid()
    runs.start_daily()
    deliver(answer({}))
    long_ago = timezone.now() - timedelta(days=300)
    compared({}, since=long_ago, until=long_ago + timedelta(days=1))
    yesterday = timezone.now().date() - timedelta(days=1)
    ReconciliationRun.objects.filter(scheduled_for__isnull=False).update(scheduled_for=yesterday)
    runs.start_daily()
    todays = ReconciliationRun.objects.get(scheduled_for__gt=yesterday)
    monkeypatch.setattr(runs, "PAUSE", timedelta(0))
    monkeypatch.setattr(runs, "MAX_REQUESTS", 1)
    runs.continue_unfinished()

    assert latest(todays).state == Runs.UNANSWERED
    assert drift_metric() == {"code_lost": 1}


def test_drift_that_was_repaired_since_is_not_counted() -> None:
    [lost] = paid()
    runs.start_daily()
    deliver(answer({}))
    before = drift_metric()
    compared({}, repair=True)
    deliver(reported(lost, access_code=CODE))

    assert (before, drift_metric()) == ({"code_lost": 1}, {})
