"""No time that the student side reports is believed beyond now and five minutes."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from admit_one.contract.envelope import Envelope
from admit_one.messaging.testing import an_envelope, an_event, deliver
from django.utils import timezone
from shared_contracts.events import AccessCodeCreated, AccessCodeRevoked, AccessGrantReported
from subscriptions import lifecycle
from subscriptions.models import Subscription
from subscriptions.reconciliation import runs
from uuid_utils.compat import uuid7

from tests.factories import CODE, a_subscription
from tests.reconciliation.both_sides import LONG_AGO, answer, compared, drift, paid

pytestmark = pytest.mark.django_db

IN_2099 = datetime(2099, 1, 1, tzinfo=UTC)


def is_now(moment: datetime | None) -> bool:
    assert moment is not None
    return timedelta(minutes=4) < moment - timezone.now() <= timedelta(minutes=5)


def test_a_code_issued_in_the_future_can_still_be_found_lost() -> None:
    subscription = a_subscription()
    deliver(an_envelope(AccessCodeCreated, subscription_id=subscription.id, issued_at=IN_2099))

    assert is_now(Subscription.objects.get().code_issued_at)


def test_a_revocation_in_the_future_can_still_be_found_lost() -> None:
    subscription = a_subscription()
    lifecycle.cancel(client="shop", subscription_id=subscription.id)
    deliver(an_envelope(AccessCodeRevoked, subscription_id=subscription.id, revoked_at=IN_2099))

    assert is_now(Subscription.objects.get().code_revoked_at)


def test_a_subscription_paid_in_the_future_is_recorded_again_as_of_now() -> None:
    unpaid = uuid7()
    run = compared({unpaid: CODE}, repair=True)
    grant = an_event(
        AccessGrantReported,
        subscription_id=unpaid,
        run_id=run.id,
        occurred_at=IN_2099,
        issued_at=IN_2099,
        cancelled_at=IN_2099,
    )
    deliver(Envelope.of(grant))

    row = Subscription.objects.get()
    times = (row.created_at, row.code_issued_at, row.cancelled_at, row.next_request_at)
    assert [is_now(moment) for moment in times] == [True] * 4


def test_a_page_made_in_the_future_finds_no_difference_in_what_is_still_on_its_way() -> None:
    paid(before=LONG_AGO)
    Subscription.objects.update(code_issued_at=timezone.now())
    run = runs.start()
    page = answer({})

    deliver(dataclasses.replace(page, time=IN_2099))

    assert drift(run) == {}
