"""Between two pages a run leaves time to subscriptions; a worker requests what is due then."""

from __future__ import annotations

from datetime import timedelta

import pytest
from admit_one.messaging.testing import deliver
from django.utils import timezone
from shared_contracts.events import AccessChecksumRequested
from subscriptions import tasks
from subscriptions.models import ReconciliationRun
from subscriptions.reconciliation import runs

from tests.reconciliation.both_sides import answer, codes, latest, paid, position_of, requested

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
