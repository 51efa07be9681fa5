"""No event that the contract allows makes a handler fail."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from admit_one.contract import Event
from admit_one.contract.fields import MAX_AMOUNT
from admit_one.messaging.inbox import Result
from admit_one.messaging.testing import an_envelope, deliver
from admit_one.messaging.why import timeline
from shared_contracts.events import (
    AccessCodeCreated,
    AccessCodeRevoked,
    AccessCodeUndeliverable,
    AccessDigest,
    AccessGrantReported,
    AccessGrantsDelayed,
)
from subscriptions import lifecycle
from subscriptions.models import Drift, Subscription
from subscriptions.reconciliation import runs
from subscriptions.serializers import shown

from tests.factories import CODE, a_subscription
from tests.reconciliation.both_sides import compared, latest

pytestmark = pytest.mark.django_db

FIRST, LAST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"
EXTREMES: dict[type[Event], dict[str, list[Any]]] = {
    AccessCodeCreated: {"issued_at": [FIRST, LAST], "user_id": ["\x9b" * 64]},
    AccessCodeRevoked: {"revoked_at": [FIRST, LAST]},
    AccessCodeUndeliverable: {
        "failed_at": [FIRST, LAST],
        "reason": ["\x1b[2J", "\ufffe" * 300, "{0.__class__}", "%s%n"],
    },
}


def extremes() -> Iterator[tuple[type[Event], dict[str, Any]]]:
    for event_class, values in EXTREMES.items():
        for name, all_of_it in values.items():
            yield from ((event_class, {name: extreme}) for extreme in all_of_it)


@pytest.mark.parametrize(
    ("event_class", "changes"), list(extremes()), ids=lambda given: ascii(given)[:40]
)
def test_a_valid_event_is_handled_and_shown(
    event_class: type[Event], changes: dict[str, Any]
) -> None:
    subscription = a_subscription()
    if event_class is AccessCodeRevoked:
        lifecycle.cancel(client=subscription.client, subscription_id=subscription.id)
    message = an_envelope(event_class, subscription_id=subscription.id, **changes)

    [outcome] = deliver(message)

    assert outcome.result == Result.HANDLED
    assert shown(Subscription.objects.get())["id"] == str(subscription.id)
    assert timeline.of(message.subject).steps


@pytest.mark.parametrize("year", [1, 9999])
def test_a_page_of_any_time_is_compared(year: int) -> None:
    run = runs.start()
    page = an_envelope(AccessDigest, run_id=run.id, after=None, entries=(), next=None)
    page = dataclasses.replace(page, time=datetime(year, 1, 1, tzinfo=UTC))

    [outcome] = deliver(page)

    assert outcome.result == Result.HANDLED
    assert latest(run).ended_at is not None


@pytest.mark.parametrize("moment", [FIRST, LAST])
def test_a_delay_until_any_time_is_noted(moment: str) -> None:
    run = runs.start()

    [outcome] = deliver(an_envelope(AccessGrantsDelayed, run_id=run.id, until=moment))

    assert outcome.result == Result.HANDLED
    assert latest(run).grants_wait_until is not None


@pytest.mark.parametrize("moment", [FIRST, LAST])
def test_a_grant_of_any_time_is_recorded_again(moment: str) -> None:
    grant = an_envelope(
        AccessGrantReported,
        occurred_at=moment,
        issued_at=moment,
        cancelled_at=moment,
        amount=MAX_AMOUNT,
        email="\x80@\x9b",
    )
    run = compared({grant.data.subscription_id: CODE}, repair=True)
    grant = dataclasses.replace(grant, data=grant.data.model_copy(update={"run_id": run.id}))

    [outcome] = deliver(grant)

    assert outcome.result == Result.HANDLED
    assert run.drifts.get().state == Drift.State.REPAIRED
    assert shown(Subscription.objects.get())["status"] == "cancelled"
    assert timeline.of(grant.subject).steps
