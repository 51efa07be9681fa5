"""The API shows its owner that the mail of a subscription was given up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from admit_one.messaging.inbox import Result
from admit_one.messaging.testing import an_envelope, deliver
from django.utils import timezone
from shared_contracts.events import AccessCodeUndeliverable
from subscriptions.models import Subscription
from uuid_utils.compat import uuid7

from tests.conftest import Api
from tests.factories import CODE, a_code_for, a_subscription

pytestmark = pytest.mark.django_db


def at(minute: int) -> datetime:
    return datetime(2026, 1, 2, 3, minute, tzinfo=UTC)


def test_the_failure_is_shown_beside_the_code(shop: Api) -> None:
    location = shop.post()["Location"]
    subscription = Subscription.objects.get()
    before = shop.get(location).json()["mail_failure"]
    deliver(
        an_envelope(
            AccessCodeUndeliverable,
            subscription_id=subscription.id,
            reason="550 no such user",
            failed_at=at(4),
        ),
        a_code_for(subscription.id),
    )

    shown = shop.get(location).json()
    assert before is None
    assert shown["mail_failure"] == {"at": "2026-01-02T03:04:00Z", "reason": "550 no such user"}
    assert (shown["status"], shown["access_code"]) == ("active", CODE)


@pytest.mark.parametrize("order", [(4, 9), (9, 4)])
def test_the_latest_failure_is_kept_whatever_the_order_of_the_events(
    order: tuple[int, int],
) -> None:
    subscription = a_subscription()
    for minute in order:
        deliver(
            an_envelope(
                AccessCodeUndeliverable, subscription_id=subscription.id, failed_at=at(minute)
            )
        )

    subscription.refresh_from_db()
    assert subscription.mail_failed_at == at(9)


def test_a_time_in_the_far_future_does_not_outlive_later_truths() -> None:
    subscription = a_subscription()
    for failed_at in (datetime(2099, 1, 1, tzinfo=UTC), timezone.now() + timedelta(minutes=6)):
        deliver(
            an_envelope(
                AccessCodeUndeliverable,
                subscription_id=subscription.id,
                reason=f"of {failed_at:%Y}",
                failed_at=failed_at,
            )
        )

    subscription.refresh_from_db()
    assert subscription.mail_failed_at is not None
    assert subscription.mail_failed_at <= timezone.now() + timedelta(minutes=5)
    assert subscription.mail_failure == f"of {timezone.now():%Y}"


def test_a_failure_of_an_unknown_subscription_is_rejected_and_the_others_are_recorded() -> None:
    known, unknown = a_subscription(), uuid7()
    outcomes = deliver(
        an_envelope(AccessCodeUndeliverable, subscription_id=unknown),
        an_envelope(AccessCodeUndeliverable, subscription_id=known.id),
    )

    known.refresh_from_db()
    assert [outcome.result for outcome in outcomes] == [Result.REJECTED, Result.HANDLED]
    assert str(outcomes[0].error) == f"there is no subscription {unknown}"
    assert known.mail_failed_at is not None
