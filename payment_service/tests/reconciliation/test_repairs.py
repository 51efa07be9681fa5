"""Each kind of drift is repaired, and only requested reports are accepted."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from admit_one.contract.envelope import Envelope
from admit_one.messaging.inbox import Result
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.testing import an_envelope, an_event, deliver, published
from admit_one.sealing import cipher
from django.utils import timezone
from shared_contracts.events import (
    AccessCodeRestored,
    AccessCodeRevoked,
    AccessGrantReported,
    AccessGrantsRequested,
    SubscriptionCancelled,
    UserSubscribed,
    code_digest,
)
from subscriptions import code_requests, lifecycle
from subscriptions.models import Drift, ReconciliationRun, Subscription
from subscriptions.reconciliation import runs
from subscriptions.reconciliation.grants import adopt
from uuid_utils.compat import uuid7

from tests.factories import CODE, OTHER_CODE, a_code_for
from tests.reconciliation.both_sides import (
    LONG_AGO,
    cancelled,
    codes,
    compared,
    drift,
    latest,
    paid,
    pass_time,
    reported,
    requested,
)

pytestmark = pytest.mark.django_db
Kind, State, Runs = Drift.Kind, Drift.State, ReconciliationRun.State


def make_unsealable(subscription: UUID) -> None:
    Subscription.objects.filter(pk=subscription).update(access_code=cipher.seal(b"", "outbox", "1"))


def test_a_missing_code_is_requested_again_at_once() -> None:
    [pending] = paid(code=None)
    run = compared({}, repair=True)
    first, again = [m for m in published() if isinstance(m.data, UserSubscribed)]
    repairing = run.state
    deliver(a_code_for(pending))

    assert (again.subject, again.causationid) == (str(pending), first.id)
    assert (repairing, latest(run).state) == (Runs.REPAIRING, Runs.REPAIRED)


def test_a_request_still_in_the_outbox_is_not_repeated() -> None:
    paid(code=None)
    OutboxMessage.objects.update(published_at=None)
    run = compared({}, repair=True)

    assert len(requested(UserSubscribed)) == 1
    assert run.state == Runs.REPAIRING


def test_a_lost_code_is_sent_to_the_student_side_unchanged() -> None:
    [lost] = paid()
    run = compared({}, repair=True)
    [known] = requested(AccessCodeRestored)
    row = Subscription.objects.get()
    deliver(reported(lost))

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
    assert latest(run).state == Runs.REPAIRED


def test_the_language_of_mails_is_repaired_on_either_side() -> None:
    [lost] = paid()
    Subscription.objects.update(language="de")
    compared({}, repair=True)
    [known] = requested(AccessCodeRestored)
    Subscription.objects.all().delete()
    unpaid = uuid7()
    compared({unpaid: CODE}, repair=True)
    deliver(reported(unpaid, language="de-AT"))

    assert (known.subscription_id, known.language) == (lost, "de")
    assert Subscription.objects.get().language == "de-AT"


def test_a_code_without_payment_is_recorded_again_as_reported(
    shop: Any,
) -> None:
    unpaid = uuid7()
    run = compared({unpaid: CODE}, repair=True)
    [request] = requested(AccessGrantsRequested)
    event = reported(unpaid)
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
    assert latest(run).state == Runs.REPAIRED


@pytest.mark.parametrize("field", ["amount", "currency"])
def test_a_report_without_what_was_paid_is_malformed(field: str) -> None:
    unpaid = uuid7()
    run = compared({unpaid: CODE}, repair=True)
    report = json.loads(reported(unpaid).to_json())
    del report["data"][field]

    [outcome] = deliver(json.dumps(report).encode())

    assert (outcome.result, str(outcome.error)) == (
        Result.MALFORMED,
        f"data.{field}: Field required",
    )
    assert not Subscription.objects.exists()
    assert drift(run) == {unpaid: (Kind.CODE_WITHOUT_PAYMENT, State.REPAIRING)}


def test_the_revocation_of_a_cancelled_but_valid_code_is_requested_again() -> None:
    [valid] = paid()
    cancelled(valid)
    first = requested(SubscriptionCancelled)
    run = compared(codes([valid]), repair=True)
    again = requested(SubscriptionCancelled)
    repairing = run.state
    deliver(an_envelope(AccessCodeRevoked, subscription_id=valid))

    assert (len(first), len(again)) == (1, 2)
    assert (repairing, latest(run).state) == (Runs.REPAIRING, Runs.REPAIRED)
    assert run.drifts.get().note == "its code is revoked"


def test_a_repair_that_worked_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    [valid] = paid()
    cancelled(valid)
    run = compared(codes([valid]), repair=True)
    deliver(an_envelope(AccessCodeRevoked, subscription_id=valid))
    OutboxMessage.objects.update(published_at=timezone.now())
    monkeypatch.setattr(runs, "PAUSE", timedelta(0))
    runs.continue_unfinished()

    assert len(requested(SubscriptionCancelled)) == 2
    assert latest(run).state == Runs.REPAIRED


def test_a_lost_cancellation_is_restored_from_the_report() -> None:
    [forgotten] = paid()
    at = timezone.now() - LONG_AGO
    run = compared(codes([forgotten]), repair=True, revoked=[forgotten])
    [request] = requested(AccessGrantsRequested)
    deliver(reported(forgotten, access_code=CODE, cancelled_at=at))
    row = Subscription.objects.get()

    assert request.subscription_ids == (forgotten,)
    assert (row.status, row.cancelled_at) == ("cancelled", at)
    assert row.code_revoked_at is not None
    assert latest(run).state == Runs.REPAIRED


def test_a_cancelled_subscription_is_recorded_again_as_cancelled() -> None:
    unpaid, at = uuid7(), timezone.now() - LONG_AGO
    run = compared({unpaid: CODE}, repair=True, revoked=[unpaid])
    deliver(reported(unpaid, cancelled_at=at))

    row = Subscription.objects.get()
    assert (row.status, row.cancelled_at) == ("cancelled", at)
    assert row.code_revoked_at is not None
    assert latest(run).state == Runs.REPAIRED


def test_a_cancellation_during_the_repair_ends_the_wait_for_a_code() -> None:
    [pending] = paid(code=None)
    run = compared({}, repair=True)
    lifecycle.cancel(client="shop", subscription_id=pending)

    assert latest(run).state == Runs.REPAIRED


def test_if_the_codes_differ_the_student_sides_is_kept() -> None:
    [differs] = paid()
    run = compared({differs: OTHER_CODE}, repair=True)
    deliver(reported(differs, access_code=OTHER_CODE))

    kept = run.drifts.get()
    assert Subscription.objects.get().code == OTHER_CODE
    assert (kept.ours, kept.theirs) == (
        code_digest(differs, CODE),
        code_digest(differs, OTHER_CODE),
    )
    assert latest(run).state == Runs.REPAIRED


def test_an_unreadable_code_is_replaced_by_the_student_sides() -> None:
    unreadable, _ = ids = paid(2)
    make_unsealable(unreadable)
    run = compared(codes(ids), repair=True)
    before = drift(run)
    deliver(reported(unreadable))

    assert before == {unreadable: (Kind.CODE_DIFFERS, State.REPAIRING)}
    assert Subscription.objects.get(pk=unreadable).code == CODE
    assert latest(run).state == Runs.REPAIRED


def test_an_unreadable_lost_code_needs_a_person_and_the_others_are_repaired() -> None:
    unreadable, lost = paid(2)
    make_unsealable(unreadable)
    run = compared({}, repair=True)
    first = [known.subscription_id for known in requested(AccessCodeRestored)]
    deliver(reported(lost))
    for _ in range(5):
        pass_time(runs.PAUSE)
        runs.continue_unfinished()

    assert first == [lost]
    assert drift(run) == {
        unreadable: (Kind.CODE_LOST, State.NEEDS_PERSON),
        lost: (Kind.CODE_LOST, State.REPAIRED),
    }


def test_a_code_of_another_user_is_never_accepted() -> None:
    [differs] = paid()
    run = compared({differs: OTHER_CODE}, repair=True)
    deliver(reported(differs, access_code=OTHER_CODE, user_id="somebody-else"))

    assert Subscription.objects.get().code == CODE
    assert latest(run).state == Runs.DRIFT


def test_a_report_that_was_not_requested_changes_nothing() -> None:
    """One for an unknown run, and one in a run that does not repair."""
    [differs] = paid()
    unrequested = an_event(AccessGrantReported, subscription_id=differs, access_code=OTHER_CODE)
    run = compared({differs: OTHER_CODE})
    deliver(Envelope.of(unrequested), reported(differs, access_code=OTHER_CODE))

    assert Subscription.objects.get().code == CODE
    assert drift(run) == {differs: (Kind.CODE_DIFFERS, State.OPEN)}


def test_grants_are_requested_a_hundred_at_a_time() -> None:
    compared({uuid7(): CODE for _ in range(250)}, repair=True)

    assert [len(request.subscription_ids) for request in requested(AccessGrantsRequested)] == [
        100,
        100,
        50,
    ]


def test_the_first_request_of_a_recovered_subscription_is_the_cause_of_the_next() -> None:
    unpaid = uuid7()
    compared({unpaid: CODE}, repair=True)
    deliver(reported(unpaid))
    lifecycle.cancel(client="recovered", subscription_id=unpaid)
    OutboxMessage.objects.update(published_at=timezone.now())
    code_requests.request_at_once([unpaid])

    first, second = [m for m in published() if isinstance(m.data, SubscriptionCancelled)]
    assert (first.causationid, second.causationid) == (None, first.id)
