"""Between two pages a run leaves time to subscriptions; a worker requests what is due then."""

from __future__ import annotations

from datetime import timedelta

import pytest
from admit_one.messaging import wake
from admit_one.messaging.testing import deliver
from django.utils import timezone
from shared_contracts.events import AccessChecksumRequested, AccessDigestRequested
from subscriptions import tasks
from subscriptions.models import ReconciliationRun
from subscriptions.reconciliation import runs

from tests.reconciliation.both_sides import (
    answer,
    checksum,
    codes,
    latest,
    paid,
    position_of,
    requested,
)

pytestmark = pytest.mark.django_db


def a_run_after_its_first_page(took: timedelta) -> ReconciliationRun:
    ids = paid(4)
    run = runs.start()
    page = answer(codes(ids[:2]), next=position_of(ids[1]))
    ReconciliationRun.objects.update(requested_at=timezone.now() - took)
    deliver(page)
    return latest(run)


def test_a_break_lasts_as_long_as_the_page_before_it() -> None:
    took = timedelta(milliseconds=400)
    before = timezone.now()
    run = a_run_after_its_first_page(took)

    assert run.requests == 0
    assert before + took <= run.requested_at <= timezone.now() + 2 * took
    assert len(requested()) == 1


def test_a_break_after_a_page_that_came_late_is_short() -> None:
    run = a_run_after_its_first_page(timedelta(minutes=3))

    assert run.requested_at <= timezone.now() + runs.LONGEST_BREAK


def test_no_page_is_requested_before_its_break_is_over() -> None:
    a_run_after_its_first_page(timedelta(seconds=1))

    pause = runs.request_due()

    assert pause is not None
    assert runs.LOOK_EVERY < pause <= 1.0
    assert len(requested()) == 1


def test_a_worker_requests_the_next_page_once_after_the_break() -> None:
    run = a_run_after_its_first_page(timedelta(milliseconds=200))
    tasks.reconcile()

    requests = [each for each in requested(AccessChecksumRequested) if each.run_id == run.id]
    assert [request.after for request in requests] == [None, run.after]
    assert latest(run).requests == 1


def test_a_run_that_waits_for_an_answer_holds_no_worker() -> None:
    run = a_run_after_its_first_page(timedelta(0))
    ReconciliationRun.objects.update(requests=1, requested_at=timezone.now() - runs.MOVING)

    assert runs.request_due() is None
    assert latest(run).requests == 1


@pytest.mark.parametrize(("took", "wakes"), [(runs.MOVING, 1), (timedelta(0), 0)])
def test_a_late_checksum_that_differs_wakes_a_worker(
    monkeypatch: pytest.MonkeyPatch, took: timedelta, wakes: int
) -> None:
    """Its entries may come soon, and nobody would look when the next page is due."""
    ids = paid(2)
    runs.start()
    late = checksum("f" * 32, next=position_of(ids[1]))
    ReconciliationRun.objects.update(requested_at=timezone.now() - took)
    woken: list[str] = []
    monkeypatch.setattr(wake, "task", woken.append)
    deliver(late)

    assert woken == [runs.TASK] * wakes
    assert len(requested(AccessDigestRequested)) == 1


@pytest.mark.parametrize("ahead", [timedelta(seconds=1.5), timedelta(hours=1)])
def test_a_break_does_not_outlast_a_clock_that_was_set_back(ahead: timedelta) -> None:
    run = a_run_after_its_first_page(timedelta(0))
    ReconciliationRun.objects.update(requests=0, requested_at=timezone.now() + ahead)
    pause = runs.request_due()
    runs.continue_unfinished()

    assert pause is None or pause <= runs.LONGEST_BREAK.total_seconds()
    assert latest(run).requests == 1
