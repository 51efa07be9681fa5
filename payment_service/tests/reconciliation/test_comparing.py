"""Both sides are compared page by page; late and duplicate pages change nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from admit_one.contract.envelope import Envelope
from admit_one.messaging.testing import an_envelope, an_event, deliver, published
from django.utils import timezone
from shared_contracts.events import (
    AccessChecksumRequested,
    AccessCodeRevoked,
    AccessDigest,
    UserSubscribed,
)
from subscriptions import lifecycle
from subscriptions.models import Drift, ReconciliationRun, Subscription
from subscriptions.reconciliation import comparison, runs
from uuid_utils.compat import uuid7

from tests.factories import CODE, OTHER_CODE, a_code_for, a_subscription
from tests.reconciliation.both_sides import (
    LONG_AGO,
    answer,
    cancelled,
    codes,
    compared,
    drift,
    end_break,
    latest,
    paid,
    position_of,
    requested,
)

pytestmark = pytest.mark.django_db
Kind, State, Runs = Drift.Kind, Drift.State, ReconciliationRun.State


def test_a_clean_run_counts_what_it_compared() -> None:
    ids = paid(3)
    run = compared(codes(ids))

    assert (run.state, run.compared, drift(run)) == (Runs.CLEAN, 3, {})
    assert run.ended_at is not None


def test_the_first_request_has_the_window_and_no_position() -> None:
    run = runs.start()

    [message] = published()
    assert message.data == AccessChecksumRequested(
        run_id=run.id, since=run.since, until=run.until, after=None, limit=2_000
    )
    assert (message.subject, message.correlationid) == (str(run.id), str(run.id))


def test_each_kind_of_drift_is_recorded_and_no_subscription_changes() -> None:
    lost, differs, pending_there, pending = (
        *paid(2),
        *paid(2, code=None),
    )
    unpaid = uuid7()
    before = list(Subscription.objects.order_by("id").values())
    run = compared({differs: OTHER_CODE, pending_there: CODE, unpaid: CODE})

    assert drift(run) == {
        lost: (Kind.CODE_LOST, State.OPEN),
        differs: (Kind.CODE_DIFFERS, State.OPEN),
        pending_there: (Kind.PAID_WITHOUT_CODE, State.OPEN),
        pending: (Kind.PAID_WITHOUT_CODE, State.OPEN),
        unpaid: (Kind.CODE_WITHOUT_PAYMENT, State.OPEN),
    }
    assert (run.state, run.compared) == (Runs.DRIFT, 5)
    assert list(Subscription.objects.order_by("id").values()) == before
    assert len(requested(UserSubscribed)) == 4


def test_drift_is_logged_without_a_code(caplog: pytest.LogCaptureFixture) -> None:
    paid()
    run = compared({})

    assert "both sides differ: 1 subscriptions compared; 1 open" in caplog.text
    assert f"manage.py reconcile show {run.id}" in caplog.text
    assert CODE not in caplog.text


def test_a_code_in_transit_is_no_drift() -> None:
    """A code that was issued after the digest, and a subscription that was just paid."""
    [just_issued] = paid()
    Subscription.objects.filter(pk=just_issued).update(code_issued_at=timezone.now())
    a_subscription()
    run = compared({})

    assert (run.state, run.compared) == (Runs.CLEAN, 1)


def test_a_code_that_arrives_during_the_run_is_no_drift() -> None:
    first, second = paid(2, code=None)
    run = runs.start()
    deliver(answer({}, next=position_of(first)))
    deliver(a_code_for(first))
    deliver(answer({second: CODE}))
    deliver(a_code_for(second))

    run = latest(run)
    assert {state for _, state in drift(run).values()} == {State.HEALED}
    assert run.state == Runs.CLEAN


def test_the_next_page_starts_where_the_last_one_ended() -> None:
    ids = paid(4)
    run = runs.start()
    deliver(answer(codes(ids[:2]), next=position_of(ids[1])))
    deliver(answer(codes(ids[2:])))

    assert [request.after for request in requested()] == [None, position_of(ids[1])]
    assert (latest(run).state, latest(run).compared) == (Runs.CLEAN, 4)


def test_a_repeated_or_late_page_changes_nothing() -> None:
    ids = paid(4)
    run = runs.start()
    early = answer(codes(ids[:2]), next=position_of(ids[1]))
    again = Envelope.of(early.data)
    deliver(early, again)
    end_break()
    requests_by_then = len(requested(AccessChecksumRequested))
    deliver(answer(codes(ids[2:])))
    ended = latest(run)
    deliver(Envelope.of(early.data), answer({}))

    assert requests_by_then == 2
    assert (latest(run).state, latest(run).compared, drift(run)) == (ended.state, 4, {})


def test_a_page_of_an_unknown_run_is_dropped() -> None:
    page = Envelope.of(an_event(AccessDigest, run_id=uuid7()))
    [outcome] = deliver(page)

    assert outcome.error is None
    assert not ReconciliationRun.objects.exists()


def test_our_rows_are_paged_even_if_the_student_side_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(comparison, "MAX_DIGESTS", 2)
    ids = paid(5)
    run = runs.start()
    for _ in range(3):
        deliver(answer({}))

    assert (latest(run).state, latest(run).compared) == (Runs.DRIFT, 5)
    assert drift(run) == dict.fromkeys(ids, (Kind.CODE_LOST, State.OPEN))


def test_subscriptions_paid_at_the_same_time_are_each_compared_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(comparison, "MAX_DIGESTS", 2)
    ids = sorted(paid(5))
    Subscription.objects.update(created_at=timezone.now() - LONG_AGO)
    run = runs.start()
    for start in (0, 2):
        deliver(answer(codes(ids[start : start + 2]), next=position_of(ids[start + 1])))
    deliver(answer(codes(ids[4:])))

    assert (latest(run).state, latest(run).compared) == (Runs.CLEAN, 5)


def test_a_cancelled_subscription_is_drift_only_if_its_code_is_valid() -> None:
    valid, revoked, lost, codeless = ids = [*paid(3), *paid(1, code=None)]
    cancelled(*ids)
    run = compared({valid: CODE, revoked: OTHER_CODE, codeless: CODE}, revoked=[revoked, codeless])

    assert drift(run) == {valid: (Kind.CANCELLED_BUT_VALID, State.OPEN)}
    assert (run.state, run.compared) == (Runs.DRIFT, 4)
    assert lost not in drift(run)


def test_a_cancellation_in_transit_is_no_drift() -> None:
    [just_cancelled] = paid()
    cancelled(just_cancelled, before=timedelta(0))

    assert compared(codes([just_cancelled])).state == Runs.CLEAN


def test_a_revoked_code_without_a_cancellation_is_drift() -> None:
    with_code, without = ids = [*paid(), *paid(code=None)]
    run = compared(codes(ids), revoked=ids)

    assert drift(run) == {
        with_code: (Kind.CANCELLATION_LOST, State.OPEN),
        without: (Kind.CANCELLATION_LOST, State.OPEN),
    }


def test_only_a_new_confirmation_closes_a_lost_revocation() -> None:
    [valid] = paid()
    cancelled(valid)
    run = compared(codes([valid]))
    unhealed = latest(run).state
    Subscription.objects.update(code_revoked_at=timezone.now())

    assert (unhealed, latest(run).state) == (Runs.DRIFT, Runs.CLEAN)


def test_a_code_revoked_after_its_digest_is_no_drift() -> None:
    """Whether it is confirmed before the page is compared, or after."""
    before, after = ids = paid(2)
    for subscription in ids:
        lifecycle.cancel(client="shop", subscription_id=subscription)
    Subscription.objects.update(cancelled_at=timezone.now() - LONG_AGO)
    run = runs.start()
    page = answer(codes(ids))
    a_moment_ago = timezone.now() - timedelta(seconds=5)
    deliver(an_envelope(AccessCodeRevoked, subscription_id=before, revoked_at=a_moment_ago))
    deliver(page)
    before_the_second = drift(run)
    deliver(an_envelope(AccessCodeRevoked, subscription_id=after, revoked_at=a_moment_ago))

    assert before_the_second == {after: (Kind.CANCELLED_BUT_VALID, State.OPEN)}
    assert latest(run).state == Runs.CLEAN


def test_a_later_cancellation_closes_all_drift_of_its_code() -> None:
    _, differs, forgotten = ids = paid(3)
    run = compared({differs: OTHER_CODE, forgotten: CODE}, revoked=[forgotten])
    before_cancelling = run.state
    for subscription in ids:
        lifecycle.cancel(client="shop", subscription_id=subscription)

    assert (before_cancelling, latest(run).state) == (Runs.DRIFT, Runs.CLEAN)
    assert {kind for kind, _ in drift(run).values()} == {
        Kind.CODE_LOST,
        Kind.CODE_DIFFERS,
        Kind.CANCELLATION_LOST,
    }
