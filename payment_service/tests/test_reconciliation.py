"""Both sides are compared page by page; what is lost, late or repeated on the way does no harm."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from admit_one.contract import Event
from admit_one.contract.envelope import Envelope
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.testing import an_envelope, an_event, deliver, published
from admit_one.sealing import cipher
from django.utils import timezone
from pytest_django import Settings
from shared_contracts.events import (
    AccessCodeRestored,
    AccessCodeRevoked,
    AccessDigest,
    AccessDigestRequested,
    AccessGrantReported,
    AccessGrantsRequested,
    DigestEntry,
    Position,
    SubscriptionCancelled,
    UserSubscribed,
    code_digest,
)
from subscriptions import metrics, services, tasks
from subscriptions.models import Drift, ReconciliationRun, Subscription
from subscriptions.reconciliation import comparison, repairs, runs
from subscriptions.reconciliation.adoption import adopt
from subscriptions.reconciliation.window import WrongWindow
from uuid_utils.compat import uuid7

from tests.factories import CODE, OTHER_CODE, a_code_for, a_subscription

pytestmark = pytest.mark.django_db
Kind, State, Runs = Drift.Kind, Drift.State, ReconciliationRun.State

LONG_AGO = timedelta(hours=3)


def paid(count: int = 1, code: str | None = CODE, before: timedelta = LONG_AGO) -> list[UUID]:
    """Subscriptions from a time when everything must have come, their asks sent."""
    ids = []
    for n in range(count):
        subscription = a_subscription()
        at = timezone.now() - before + timedelta(seconds=n)
        if code is not None:
            deliver(a_code_for(subscription.id, code))
        Subscription.objects.filter(pk=subscription.pk).update(created_at=at, code_issued_at=at)
        ids.append(subscription.id)
    OutboxMessage.objects.update(published_at=timezone.now())
    return ids


def codes(ids: Sequence[UUID], code: str = CODE) -> dict[UUID, str]:
    return dict.fromkeys(ids, code)


def asked(event: type[Event] = AccessDigestRequested) -> list[Any]:
    return [message.data for message in published() if type(message.data) is event]


def answer(
    theirs: dict[UUID, str],
    next: Position | None = None,  # noqa: A002 (the field's name)
    revoked: Collection[UUID] = (),
) -> Envelope[AccessDigest]:
    """What the student side says to the latest request for a page."""
    request = [m for m in published() if isinstance(m.data, AccessDigestRequested)][-1]
    page = AccessDigest(
        run_id=request.data.run_id,
        after=request.data.after,
        entries=tuple(
            DigestEntry(
                subscription_id=i,
                state="revoked" if i in revoked else "active",
                digest=code_digest(i, code),
            )
            for i, code in theirs.items()
        ),
        next=next,
    )
    return request.follow(page)


def place_of(subscription: UUID) -> Position:
    row = Subscription.objects.get(pk=subscription)
    return Position(occurred_at=row.created_at, subscription_id=row.id)


def compared(
    theirs: dict[UUID, str],
    *,
    repair: bool = False,
    revoked: Collection[UUID] = (),
    **window: datetime,
) -> ReconciliationRun:
    """A run of one page with this answer."""
    run = runs.start(repair=repair, **window)
    deliver(answer(theirs, revoked=revoked))
    return now(run)


def cancelled(*ids: UUID, before: timedelta = LONG_AGO) -> None:
    """Cancel these, and have all said and confirmed as it was at that time."""
    at = timezone.now() - before
    for one in ids:
        services.cancel_subscription(client="shop", subscription_id=one)
        deliver(an_envelope(AccessCodeRevoked, subscription_id=one, revoked_at=at))
    Subscription.objects.filter(id__in=ids).update(cancelled_at=at)
    OutboxMessage.objects.update(published_at=timezone.now())


def now(run: ReconciliationRun) -> ReconciliationRun:
    found = runs.look(run.id)
    assert found is not None
    return found


def drift(run: ReconciliationRun) -> dict[UUID, tuple[str, str]]:
    return {d.subscription_id: (d.kind, d.state) for d in run.drifts.all()}


def told(subscription: UUID, **changes: Any) -> Envelope[AccessGrantReported]:
    """The student side tells of a subscription, in the latest run."""
    run = ReconciliationRun.objects.latest("started_at")
    event = an_event(AccessGrantReported, subscription_id=subscription, run_id=run.id, **changes)
    return Envelope.of(event, correlation=str(run.id))


def test_a_clean_run_says_so_with_counts() -> None:
    ids = paid(3)
    run = compared(codes(ids))

    assert (run.state, run.compared, drift(run)) == (Runs.CLEAN, 3, {})
    assert run.ended_at is not None


def test_the_request_names_the_window_and_asks_from_its_start() -> None:
    run = runs.start()

    [message] = published()
    assert message.data == AccessDigestRequested(
        run_id=run.id, since=run.since, until=run.until, after=None, limit=1_000
    )
    assert (message.subject, message.correlationid) == (str(run.id), str(run.id))


def test_each_kind_of_drift_is_found_and_nothing_is_changed() -> None:
    lost, differs, pending_there, pending = (
        *paid(2),
        *paid(2, code=None),
    )
    unpaid = uuid7()
    before = list(Subscription.objects.order_by("id").values())
    run = compared({differs: OTHER_CODE, pending_there: CODE, unpaid: CODE})

    assert drift(run) == {
        lost: (Kind.CODE_LOST, State.FOUND),
        differs: (Kind.CODE_DIFFERS, State.FOUND),
        pending_there: (Kind.PAID_WITHOUT_CODE, State.FOUND),
        pending: (Kind.PAID_WITHOUT_CODE, State.FOUND),
        unpaid: (Kind.CODE_WITHOUT_PAYMENT, State.FOUND),
    }
    assert (run.state, run.compared) == (Runs.DRIFT, 5)
    assert list(Subscription.objects.order_by("id").values()) == before
    assert len(asked(UserSubscribed)) == 4


def test_drift_is_said_aloud_without_a_code(caplog: pytest.LogCaptureFixture) -> None:
    paid()
    run = compared({})

    assert "both sides differ: 1 subscriptions compared; 1 found" in caplog.text
    assert f"manage.py reconcile show {run.id}" in caplog.text
    assert CODE not in caplog.text


def test_what_is_on_its_way_is_no_drift() -> None:
    """A code that came after the digest was made, and one that was paid a moment ago."""
    [just_issued] = paid()
    Subscription.objects.filter(pk=just_issued).update(code_issued_at=timezone.now())
    a_subscription()
    run = compared({})

    assert (run.state, run.compared) == (Runs.CLEAN, 1)


def test_what_heals_while_a_run_goes_on_is_no_drift() -> None:
    first, second = paid(2, code=None)
    run = runs.start()
    deliver(answer({}, next=place_of(first)))
    deliver(a_code_for(first))
    deliver(answer({second: CODE}))
    deliver(a_code_for(second))

    run = now(run)
    assert {state for _, state in drift(run).values()} == {State.HEALED}
    assert run.state == Runs.CLEAN


def test_the_next_page_is_asked_for_where_the_last_one_ended() -> None:
    ids = paid(4)
    run = runs.start()
    deliver(answer(codes(ids[:2]), next=place_of(ids[1])))
    deliver(answer(codes(ids[2:])))

    assert [request.after for request in asked()] == [None, place_of(ids[1])]
    assert (now(run).state, now(run).compared) == (Runs.CLEAN, 4)


def test_a_page_that_comes_twice_or_late_changes_nothing() -> None:
    ids = paid(4)
    run = runs.start()
    early = answer(codes(ids[:2]), next=place_of(ids[1]))
    again = Envelope.of(early.data)
    deliver(early, again)
    asked_by_then = len(asked())
    deliver(answer(codes(ids[2:])))
    ended = now(run)
    deliver(Envelope.of(early.data), answer({}))

    assert asked_by_then == 2
    assert (now(run).state, now(run).compared, drift(run)) == (ended.state, 4, {})


def test_a_page_of_an_unknown_run_is_dropped() -> None:
    page = Envelope.of(an_event(AccessDigest, run_id=uuid7()))
    [outcome] = deliver(page)

    assert outcome.error is None
    assert not ReconciliationRun.objects.exists()


def test_when_they_have_lost_all_ours_is_compared_page_by_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(comparison, "MOST_DIGESTS", 2)
    ids = paid(5)
    run = runs.start()
    for _ in range(3):
        deliver(answer({}))

    assert (now(run).state, now(run).compared) == (Runs.DRIFT, 5)
    assert drift(run) == dict.fromkeys(ids, (Kind.CODE_LOST, State.FOUND))


def test_subscriptions_of_one_moment_are_each_compared_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(comparison, "MOST_DIGESTS", 2)
    ids = sorted(paid(5))
    Subscription.objects.update(created_at=timezone.now() - LONG_AGO)
    run = runs.start()
    for start in (0, 2):
        deliver(answer(codes(ids[start : start + 2]), next=place_of(ids[start + 1])))
    deliver(answer(codes(ids[4:])))

    assert (now(run).state, now(run).compared) == (Runs.CLEAN, 5)


def test_a_cancelled_one_is_drift_only_while_its_code_lets_in() -> None:
    valid, revoked, lost, codeless = ids = [*paid(3), *paid(1, code=None)]
    cancelled(*ids)
    run = compared({valid: CODE, revoked: OTHER_CODE, codeless: CODE}, revoked=[revoked, codeless])

    assert drift(run) == {valid: (Kind.CANCELLED_BUT_VALID, State.FOUND)}
    assert (run.state, run.compared) == (Runs.DRIFT, 4)
    assert lost not in drift(run)


def test_a_cancellation_that_is_on_its_way_is_no_drift() -> None:
    [just_cancelled] = paid()
    cancelled(just_cancelled, before=timedelta(0))

    assert compared(codes([just_cancelled])).state == Runs.CLEAN


def test_a_revoked_code_of_what_is_not_cancelled_here_is_drift() -> None:
    with_code, without = ids = [*paid(), *paid(code=None)]
    run = compared(codes(ids), revoked=ids)

    assert drift(run) == {
        with_code: (Kind.CANCELLATION_LOST, State.FOUND),
        without: (Kind.CANCELLATION_LOST, State.FOUND),
    }


def test_a_revocation_that_was_confirmed_before_it_was_lost_does_not_count_as_healing() -> None:
    [valid] = paid()
    cancelled(valid)
    run = compared(codes([valid]))
    unhealed = now(run).state
    Subscription.objects.update(code_revoked_at=timezone.now())

    assert (unhealed, now(run).state) == (Runs.DRIFT, Runs.CLEAN)


def drift_told() -> dict[str, float]:
    """What Prometheus reads."""
    _, family = metrics.drift()
    return {s.labels["kind"]: s.value for s in family.samples if s.value}


def test_prometheus_reads_what_the_latest_daily_run_has_found() -> None:
    paid(2)
    before = drift_told()
    runs.start_daily()
    deliver(answer({}))

    age, _ = metrics.drift()
    assert (before, drift_told()) == ({}, {"code_lost": 2})
    assert 0 < age.samples[0].value < 60


def test_a_run_without_an_answer_or_of_another_window_hides_no_drift(
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
    todays = ReconciliationRun.objects.latest("scheduled_for")
    monkeypatch.setattr(runs, "PAUSE", timedelta(0))
    monkeypatch.setattr(runs, "MOST_REQUESTS", 1)
    runs.carry_on()

    assert now(todays).state == Runs.UNANSWERED
    assert drift_told() == {"code_lost": 1}


def test_what_was_repaired_since_is_no_drift_any_more() -> None:
    [lost] = paid()
    runs.start_daily()
    deliver(answer({}))
    found = drift_told()
    compared({}, repair=True)
    deliver(told(lost, access_code=CODE))

    assert (found, drift_told()) == ({"code_lost": 1}, {})


def test_a_code_that_was_revoked_after_its_digest_was_made_is_no_drift() -> None:
    """Whether that was confirmed just before the page is compared, or just after."""
    before, after = ids = paid(2)
    for one in ids:
        services.cancel_subscription(client="shop", subscription_id=one)
    Subscription.objects.update(cancelled_at=timezone.now() - LONG_AGO)
    run = runs.start()
    page = answer(codes(ids))
    a_moment_ago = timezone.now() - timedelta(seconds=5)
    deliver(an_envelope(AccessCodeRevoked, subscription_id=before, revoked_at=a_moment_ago))
    deliver(page)
    found = drift(run)
    deliver(an_envelope(AccessCodeRevoked, subscription_id=after, revoked_at=a_moment_ago))

    assert found == {after: (Kind.CANCELLED_BUT_VALID, State.FOUND)}
    assert now(run).state == Runs.CLEAN


def test_where_the_shop_has_cancelled_since_no_code_is_drift() -> None:
    _, differs, forgotten = ids = paid(3)
    run = compared({differs: OTHER_CODE, forgotten: CODE}, revoked=[forgotten])
    found = run.state
    for one in ids:
        services.cancel_subscription(client="shop", subscription_id=one)

    assert (found, now(run).state) == (Runs.DRIFT, Runs.CLEAN)
    assert {kind for kind, _ in drift(run).values()} == {
        Kind.CODE_LOST,
        Kind.CODE_DIFFERS,
        Kind.CANCELLATION_LOST,
    }


# repairs


def test_what_was_paid_without_a_code_is_asked_for_at_once_whatever_its_pause() -> None:
    [pending] = paid(code=None)
    run = compared({}, repair=True)
    first, again = [m for m in published() if isinstance(m.data, UserSubscribed)]
    repairing = run.state
    deliver(a_code_for(pending))

    assert (again.subject, again.causationid) == (str(pending), first.id)
    assert (repairing, now(run).state) == (Runs.REPAIRING, Runs.REPAIRED)


def test_what_still_waits_in_the_outbox_is_not_asked_for_twice() -> None:
    paid(code=None)
    OutboxMessage.objects.update(published_at=None)
    run = compared({}, repair=True)

    assert len(asked(UserSubscribed)) == 1
    assert run.state == Runs.REPAIRING


def test_a_lost_code_is_told_to_the_student_side_as_it_was() -> None:
    [lost] = paid()
    run = compared({}, repair=True)
    [known] = asked(AccessCodeRestored)
    row = Subscription.objects.get()
    deliver(told(lost))

    assert row.code_issued_at is not None
    assert known == AccessCodeRestored(
        subscription_id=lost,
        run_id=run.id,
        user_id=row.user_id,
        email=row.email,
        plan=row.plan,
        amount=row.amount,
        currency=row.currency,
        occurred_at=row.created_at,
        access_code=CODE,
        issued_at=row.code_issued_at,
    )
    assert now(run).state == Runs.REPAIRED


def test_a_code_without_payment_is_recorded_again_as_it_is_told_and_handed_over(
    shop: Any,
) -> None:
    unpaid = uuid7()
    run = compared({unpaid: CODE}, repair=True)
    [request] = asked(AccessGrantsRequested)
    event = told(unpaid)
    deliver(event, Envelope.of(event.data))
    recovered = Subscription.objects.get()
    owner = recovered.client
    adopted = adopt("shop", [unpaid])

    assert request.subscription_ids == (unpaid,)
    assert (owner, adopted) == ("recovered", 1)
    assert (recovered.id, recovered.code, recovered.created_at, recovered.amount) == (
        unpaid,
        CODE,
        event.data.occurred_at,
        4900,
    )
    assert shop.get(f"/v1/subscriptions/{unpaid}").json()["access_code"] == CODE
    assert now(run).state == Runs.REPAIRED


def test_what_nobody_has_told_the_student_side_needs_a_person() -> None:
    unpaid = uuid7()
    run = compared({unpaid: CODE}, repair=True)
    deliver(told(unpaid, amount=None, currency=None))

    assert now(run).state == Runs.DRIFT
    assert drift(run) == {unpaid: (Kind.CODE_WITHOUT_PAYMENT, State.NEEDS_PERSON)}


def test_a_code_that_outlives_its_subscription_is_revoked_again_until_that_is_confirmed() -> None:
    [valid] = paid()
    cancelled(valid)
    first = asked(SubscriptionCancelled)
    run = compared(codes([valid]), repair=True)
    again = asked(SubscriptionCancelled)
    repairing = run.state
    deliver(an_envelope(AccessCodeRevoked, subscription_id=valid))

    assert (len(first), len(again)) == (1, 2)
    assert (repairing, now(run).state) == (Runs.REPAIRING, Runs.REPAIRED)
    assert run.drifts.get().note == "its code is revoked"


def test_a_repair_that_has_worked_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    [valid] = paid()
    cancelled(valid)
    run = compared(codes([valid]), repair=True)
    deliver(an_envelope(AccessCodeRevoked, subscription_id=valid))
    OutboxMessage.objects.update(published_at=timezone.now())
    monkeypatch.setattr(runs, "PAUSE", timedelta(0))
    runs.carry_on()

    assert len(asked(SubscriptionCancelled)) == 2
    assert now(run).state == Runs.REPAIRED


def test_a_lost_cancellation_is_told_and_taken_over() -> None:
    [forgotten] = paid()
    at = timezone.now() - LONG_AGO
    run = compared(codes([forgotten]), repair=True, revoked=[forgotten])
    [request] = asked(AccessGrantsRequested)
    deliver(told(forgotten, access_code=CODE, cancelled_at=at))
    row = Subscription.objects.get()

    assert request.subscription_ids == (forgotten,)
    assert (row.status, row.cancelled_at) == ("cancelled", at)
    assert row.code_revoked_at is not None
    assert now(run).state == Runs.REPAIRED


def test_what_is_recorded_again_is_as_cancelled_as_it_was() -> None:
    unpaid, at = uuid7(), timezone.now() - LONG_AGO
    run = compared({unpaid: CODE}, repair=True, revoked=[unpaid])
    deliver(told(unpaid, cancelled_at=at))

    row = Subscription.objects.get()
    assert (row.status, row.cancelled_at) == ("cancelled", at)
    assert row.code_revoked_at is not None
    assert now(run).state == Runs.REPAIRED


def test_what_is_cancelled_while_it_waits_for_its_code_needs_none() -> None:
    [pending] = paid(code=None)
    run = compared({}, repair=True)
    services.cancel_subscription(client="shop", subscription_id=pending)

    assert now(run).state == Runs.REPAIRED


def test_where_the_codes_differ_the_one_of_the_student_side_is_taken_over() -> None:
    [differs] = paid()
    run = compared({differs: OTHER_CODE}, repair=True)
    deliver(told(differs, access_code=OTHER_CODE))

    kept = run.drifts.get()
    assert Subscription.objects.get().code == OTHER_CODE
    assert (kept.ours, kept.theirs) == (
        code_digest(differs, CODE),
        code_digest(differs, OTHER_CODE),
    )
    assert now(run).state == Runs.REPAIRED


def lock(subscription: UUID) -> None:
    """Its code does not open any more."""
    Subscription.objects.filter(pk=subscription).update(access_code=cipher.seal(b"", "another"))


def test_a_code_that_does_not_open_here_is_taken_over_from_the_student_side() -> None:
    locked, _ = ids = paid(2)
    lock(locked)
    run = compared(codes(ids), repair=True)
    found = drift(run)
    deliver(told(locked))

    assert found == {locked: (Kind.CODE_DIFFERS, State.REPAIRING)}
    assert Subscription.objects.get(pk=locked).code == CODE
    assert now(run).state == Runs.REPAIRED


def test_a_lost_code_that_does_not_open_here_is_left_to_a_person_and_the_others_are_told() -> None:
    locked, lost = paid(2)
    lock(locked)
    run = compared({}, repair=True)
    first = [known.subscription_id for known in asked(AccessCodeRestored)]
    deliver(told(lost))
    for _ in range(5):
        pass_time(runs.PAUSE)
        runs.carry_on()

    assert first == [lost]
    assert drift(run) == {
        locked: (Kind.CODE_LOST, State.NEEDS_PERSON),
        lost: (Kind.CODE_LOST, State.REPAIRED),
    }


def test_a_code_of_another_user_is_never_taken_over() -> None:
    [differs] = paid()
    run = compared({differs: OTHER_CODE}, repair=True)
    deliver(told(differs, access_code=OTHER_CODE, user_id="somebody-else"))

    assert Subscription.objects.get().code == CODE
    assert now(run).state == Runs.DRIFT


def test_a_code_that_nobody_asked_for_is_not_taken_over() -> None:
    """Not of an unknown run, not in a run without repairs, not after the repair."""
    [differs] = paid()
    stranger = an_event(AccessGrantReported, subscription_id=differs, access_code=OTHER_CODE)
    run = compared({differs: OTHER_CODE})
    deliver(Envelope.of(stranger), told(differs, access_code=OTHER_CODE))

    assert Subscription.objects.get().code == CODE
    assert drift(run) == {differs: (Kind.CODE_DIFFERS, State.FOUND)}


def test_grants_are_asked_for_a_hundred_at_a_time() -> None:
    compared({uuid7(): CODE for _ in range(250)}, repair=True)

    assert [len(request.subscription_ids) for request in asked(AccessGrantsRequested)] == [
        100,
        100,
        50,
    ]


# what is lost on the way


def pass_time(by: timedelta) -> None:
    for run in ReconciliationRun.objects.all():
        run.requested_at -= by
        run.save()
    for one in Drift.objects.filter(tried_at__isnull=False):
        assert one.tried_at
        one.tried_at -= by
        one.save()


def test_a_page_without_an_answer_is_asked_for_again_and_at_last_the_run_says_so() -> None:
    run = runs.start()
    runs.carry_on()
    at_once = len(asked())
    for _ in range(20):
        pass_time(runs.PAUSE)
        runs.carry_on()

    assert at_once == 1
    assert len(asked()) == runs.MOST_REQUESTS
    assert now(run).state == Runs.UNANSWERED


def test_a_repair_without_an_answer_is_tried_again_and_then_left_to_a_person() -> None:
    paid()
    run = compared({}, repair=True)
    for _ in range(5):
        pass_time(runs.PAUSE)
        runs.carry_on()

    assert len(asked(AccessCodeRestored)) == repairs.MOST_TRIES
    assert (now(run).state, run.drifts.get().state) == (Runs.DRIFT, State.NEEDS_PERSON)


def test_an_answer_that_comes_after_it_was_given_up_is_taken_all_the_same() -> None:
    [lost] = paid()
    run = compared({}, repair=True)
    for _ in range(5):
        pass_time(runs.PAUSE)
        runs.carry_on()
    given_up = now(run).state
    deliver(told(lost))

    assert (given_up, now(run).state) == (Runs.DRIFT, Runs.REPAIRED)


def test_the_sweep_ends_a_run_whose_codes_have_come() -> None:
    [pending] = paid(code=None)
    run = compared({}, repair=True)
    deliver(a_code_for(pending))
    runs.carry_on()

    assert ReconciliationRun.objects.get(id=run.id).state == Runs.REPAIRED


# when


def test_a_window_that_is_not_settled_is_refused() -> None:
    with pytest.raises(WrongWindow, match="expected a window that ends by"):
        runs.start(until=timezone.now() - timedelta(minutes=14))
    with pytest.raises(WrongWindow, match="begins before its end"):
        runs.start(since=timezone.now())

    assert asked() == []


def test_the_schedule_compares_once_a_day_and_repairs_nothing() -> None:
    paid()
    tasks.reconcile()
    tasks.reconcile()

    [run] = ReconciliationRun.objects.all()
    assert (run.repair, len(asked())) == (False, 1)


def test_the_schedule_has_nothing_to_do_where_nothing_was_paid() -> None:
    a_subscription()
    tasks.reconcile()

    assert not ReconciliationRun.objects.exists()


@pytest.fixture(autouse=True)
def settled(settings: Settings) -> None:
    settings.RECONCILE_AFTER = 900
