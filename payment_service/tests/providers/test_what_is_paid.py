"""Until when a code works, and what is due, over many periods, changes and kinds of prices."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from admit_one.messaging.testing import published
from providers import stripe
from providers.fake_stripe import event
from pytest_django import Settings
from subscriptions import lifecycle
from subscriptions.models import Subscription

from tests.providers.stripe_steps import (
    COMPLETED,
    ENDED,
    FAILED,
    PAID,
    SALE,
    send,
    stripe_sends,
    the_event,
    the_subscription,
)

pytestmark = pytest.mark.django_db

DAY = 86_400


def of(kind: str, period: int, *ends: int, **changes: Any) -> dict[str, Any]:
    """An event about an invoice whose lines end at these times."""
    made = event(kind, SALE, period=period)
    invoice = made["data"]["object"]
    [line] = invoice["lines"]["data"]
    if ends:
        invoice["lines"]["data"] = [{**line, "period": {"end": end}} for end in ends]
    invoice |= changes
    return {**made, "id": f"{made['id']}_{'_'.join(map(str, ends))}{len(changes)}"}


def is_past_due() -> bool:
    return the_subscription().past_due_at is not None


@pytest.mark.parametrize("days", [0, 7])
def test_a_code_works_until_the_next_payment_has_failed_and_grace_is_over(
    settings: Settings, days: int
) -> None:
    """Stripe asks for the money about an hour after a period has begun."""
    settings.GRACE_DAYS = days
    stripe_sends(COMPLETED)
    stripe_sends(PAID)

    end = datetime.fromtimestamp(SALE.seconds(1), UTC)
    until = the_subscription().valid_until
    assert until is not None
    assert until - end >= timedelta(hours=1, days=days)


def test_a_month_that_is_not_paid_is_due_though_an_item_is_paid_by_the_year() -> None:
    stripe_sends(COMPLETED)
    send(of(PAID, 1, SALE.seconds(1), SALE.seconds(12)))
    stripe_sends(FAILED, period=2)

    assert is_past_due()


def test_a_year_that_was_never_paid_does_not_make_its_months_due() -> None:
    """A change to a yearly price failed, was taken back, and the months are paid as before."""
    stripe_sends(COMPLETED)
    stripe_sends(PAID)
    send(of(FAILED, 2, SALE.seconds(13)))
    assert is_past_due()
    stripe_sends(PAID, period=3)

    assert not is_past_due()


@pytest.mark.parametrize("reason", sorted(stripe.OF_NO_PERIOD))
def test_what_is_paid_stays_paid_if_the_payment_of_a_change_fails(reason: str) -> None:
    stripe_sends(COMPLETED)
    stripe_sends(PAID)
    response = send(of(FAILED, 2, SALE.seconds(13), billing_reason=reason))

    assert response.json() == {"result": "ignored"}
    assert not is_past_due()


def test_what_was_used_before_ends_nothing() -> None:
    """The line of a metered price has the period that was used: it ends when the next begins."""
    stripe_sends(COMPLETED)
    send(of(PAID, 1, SALE.seconds(0)))
    assert the_subscription().valid_until is None
    send(of(FAILED, 2, SALE.seconds(1)))
    assert is_past_due()
    send(of(PAID, 2, SALE.seconds(1)))

    assert (is_past_due(), the_subscription().valid_until) == (False, None)


def test_a_renewal_by_the_shop_outlives_repeated_failures_at_stripe() -> None:
    """The customer has paid the shop, and Stripe tries the card for two weeks more."""
    stripe_sends(COMPLETED)
    stripe_sends(PAID)
    stripe_sends(FAILED, period=2)
    row = the_subscription()
    end = datetime.fromtimestamp(SALE.seconds(2), UTC)
    lifecycle.renew(client="stripe", subscription_id=row.pk, valid_until=end)
    send(event(FAILED, SALE, period=2) | {"id": "evt_again"})

    assert not is_past_due()


def test_a_failure_of_a_week_is_due_although_the_code_works_longer() -> None:
    stripe_sends(COMPLETED)
    send(of(PAID, 1, SALE.seconds(0) + 7 * DAY))
    week = SALE.seconds(0) + 7 * DAY
    send(of(FAILED, 2, week + 7 * DAY, created=week))

    assert is_past_due()


def test_twelve_months_are_one_subscription_that_ends_after_the_last() -> None:
    stripe_sends(COMPLETED)
    for period in range(1, 13):
        stripe_sends(PAID, period=period)
        stripe_sends(FAILED, period=period)

    assert not is_past_due()
    assert Subscription.objects.count() == 1
    assert {each.subject for each in published()} == {str(the_subscription().pk)}


@pytest.mark.parametrize(("after", "reports"), [(3600, 1), (-3600, 0)])
def test_a_payment_for_what_has_ended_is_reported_unless_it_came_before(
    after: int, reports: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Stripe collects an open invoice also after the end of its subscription."""
    stripe_sends(COMPLETED)
    stripe_sends(ENDED)
    send(event(PAID, SALE) | {"created": int(time.time()) + after})

    reported = [each for each in caplog.records if "paid in vain" in each.getMessage()]
    assert [each.levelname for each in reported] == ["WARNING"] * reports
    assert the_event(PAID).state == "handled"


def test_two_checkouts_of_one_customer_are_two_subscriptions() -> None:
    for name in ("x1", "x2"):
        stripe_sends(COMPLETED, replace(SALE, name=name))
        stripe_sends(PAID, replace(SALE, name=name))

    assert Subscription.objects.count() == 2
