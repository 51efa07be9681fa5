"""So many grants are reported in an hour; the others wait for the next, in their order."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from access_codes import metrics, tasks
from access_codes.models import AccessCode, AnsweredRun, HourOfGrants, WaitingGrant
from access_codes.reconciliation import answered, reporting
from admit_one.messaging import wake
from admit_one.messaging.inbox import Result
from admit_one.messaging.testing import an_envelope, deliver, published
from django.db import connections
from django.utils import timezone
from prometheus_client import REGISTRY
from pytest_django import Settings
from shared_contracts.events import AccessGrantsDelayed, AccessGrantsRequested

from tests.reconciliation.steps import (
    a_run,
    an_hour_later,
    ask,
    issued,
    make_unsealable,
    report,
    reported,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def three_an_hour(settings: Settings) -> None:
    settings.GRANTS_AN_HOUR = 3


def delayed() -> list[AccessGrantsDelayed]:
    return [m.data for m in published() if isinstance(m.data, AccessGrantsDelayed)]


def waiting() -> float:
    [family] = metrics.waiting_grants()
    return float(family.samples[0].value)


def counted() -> float:
    return REGISTRY.get_sample_value("access_codes_grants_total") or 0.0


def test_above_the_cap_grants_wait_for_the_next_hours_and_then_all_were_reported() -> None:
    ids = issued(8)
    ask(a_run(), ids)

    hours = []
    for _ in range(4):
        hours.append(report())
        an_hour_later()

    assert hours == [ids[:3], ids[:6], ids, ids]
    assert not WaitingGrant.objects.exists()


def test_an_hour_has_one_share_for_all_runs() -> None:
    ids = issued(5)
    ask(a_run(), ids[:2])
    report()
    ask(a_run(), ids[2:])

    assert report() == ids[:3]


def test_the_first_wait_of_a_run_is_one_warning_and_each_hour_one_event(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ids = issued(8)
    run = a_run()
    ask(run, ids)
    for _ in range(3):
        report()
    an_hour_later()
    for _ in range(3):
        report()

    warnings = [text for text in caplog.messages if "more than 3 grants an hour" in text]
    assert len(warnings) == 1
    assert str(run) in warnings[0]
    events = delayed()
    assert [event.run_id for event in events] == [run, run]
    for event in events:
        assert (event.until.minute, event.until.second, event.until.microsecond) == (0, 0, 0)
        assert timedelta(0) < event.until - timezone.now() <= timedelta(hours=1)


def test_what_the_hour_allows_is_reported_without_a_word_about_waiting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ask(a_run(), issued(3))
    report()
    report()

    assert delayed() == []
    assert "grants an hour" not in caplog.text


def test_a_waiting_grant_is_reported_as_a_reply_to_the_message_that_asked() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    ids = issued(1)
    request = an_envelope(AccessGrantsRequested, run_id=a_run(), subscription_ids=ids)
    body = request.to_json().replace(b'"data":', f'"traceparent":"{trace}","data":'.encode())
    deliver(body)
    report()

    reply = published()[-1]
    assert (reply.causationid, reply.correlationid, reply.traceparent) == (
        request.id,
        request.correlationid,
        trace,
    )


def test_what_is_requested_twice_while_it_waits_is_reported_once_and_keeps_its_turn() -> None:
    ids = issued(5)
    run = a_run()
    ask(run, ids)
    report()
    ask(run, list(reversed(ids[3:])))
    ask(run, ids[3:] + ids[3:])
    an_hour_later()

    assert report() == ids


def test_what_is_requested_after_the_answer_is_reported_again_out_of_the_same_share() -> None:
    [only] = issued(1)
    run = a_run()
    for _ in range(5):
        ask(run, [only])
        report()

    assert len(reported()) == 3
    assert WaitingGrant.objects.count() == 1


def test_grants_are_reported_as_they_are_when_their_turn_comes() -> None:
    ids = issued(4)
    ask(a_run(), ids)
    report()
    AccessCode.objects.filter(pk=ids[3]).update(plan="silver")
    an_hour_later()
    report()

    assert [grant.plan for grant in reported()] == ["gold"] * 3 + ["silver"]


def test_one_that_cannot_be_unsealed_takes_nobodys_share() -> None:
    ids = issued(5)
    make_unsealable(ids[1])
    ask(a_run(), ids)

    assert report() == [ids[0], ids[2], ids[3]]


def test_with_a_smaller_cap_in_the_middle_of_an_hour_nothing_more_is_reported(
    settings: Settings,
) -> None:
    ids = issued(5)
    ask(a_run(), ids)
    report()
    settings.GRANTS_AN_HOUR = 1

    assert report() == ids[:3]


@pytest.mark.django_db(transaction=True)
def test_grants_are_counted_once_they_are_reported_and_so_are_those_that_wait() -> None:
    before = counted()
    ask(a_run(), issued(5))
    asked = [counted() - before, waiting()]
    report()

    assert asked == [0, 5]
    assert [counted() - before, waiting()] == [3, 2]


def test_a_crash_before_the_commit_tells_nothing_and_uses_no_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = issued(3)
    ask(a_run(), ids)

    def die(*_: object, **__: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(HourOfGrants, "save", die)
        with pytest.raises(RuntimeError):
            tasks.report_grants()
    before = reported()

    assert before == []
    assert report() == ids


@pytest.mark.django_db(transaction=True)
def test_workers_that_report_at_once_share_one_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "BATCH", 1)
    ids = issued(12)
    ask(a_run(), ids)
    start = threading.Barrier(4)
    errors: list[Exception] = []

    def worker() -> None:
        start.wait(10)
        try:
            tasks.report_grants()
        except Exception as error:  # noqa: BLE001 (reported below)
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert errors == []
    assert sorted(grant.subscription_id for grant in reported()) == sorted(ids[:3])
    assert HourOfGrants.objects.get().reported == 3


def test_asking_wakes_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    ids = issued(1)
    run = a_run()
    monkeypatch.setattr(wake, "task", names.append)
    ask(run, ids)
    ask(run, ids)

    assert names == ["student_service.report_grants"]


def test_batches_do_not_change_the_order(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.GRANTS_AN_HOUR = 7
    monkeypatch.setattr(reporting, "BATCH", 2)
    ids = issued(8)
    ask(a_run(), ids)

    assert report() == ids[:7]


def age(days: int) -> None:
    AnsweredRun.objects.update(answered_at=timezone.now() - timedelta(days=days))


def test_an_old_run_is_forgotten_and_may_begin_again() -> None:
    ids = issued(1)
    run = a_run()
    age(answered.KEPT_DAYS + 1)
    HourOfGrants.objects.create(hour=timezone.now() - timedelta(days=answered.KEPT_DAYS + 1))
    tasks.forget_runs()

    assert not AnsweredRun.objects.exists()
    assert not HourOfGrants.objects.exists()
    assert [outcome.result for outcome in ask(run, ids)] == [Result.REJECTED]


def test_a_run_that_waits_for_too_long_is_dropped_aloud(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.GRANTS_AN_HOUR = 0
    ids = issued(2)
    run = a_run()
    ask(run, ids)
    age(answered.KEPT_DAYS - 1)
    tasks.forget_runs()
    assert report() == []
    assert WaitingGrant.objects.count() == 2

    age(answered.KEPT_DAYS + 1)
    tasks.forget_runs()
    assert [outcome.result for outcome in ask(run, ids)] == [Result.REJECTED]
    assert report() == []
    tasks.forget_runs()

    assert not AnsweredRun.objects.exists()
    assert not WaitingGrant.objects.exists()
    assert f"{run} is more than 45 days old" in caplog.text
