"""What each of Stripe's events does to a subscription."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from admit_one.messaging.testing import published
from providers.fake_stripe import PERIOD, Sale, event
from providers.models import ProviderEvent, ProviderLink
from pytest_django import Settings
from shared_contracts.events import SubscriptionCancelled, UserSubscribed
from subscriptions import lifecycle
from subscriptions.models import Subscription

from tests.conftest import Api
from tests.providers.stripe_steps import (
    COMPLETED,
    ENDED,
    FAILED,
    ONCE,
    PAID,
    PAID_LATER,
    PAYMENT,
    REFUNDED,
    SALE,
    send,
    stripe_sends,
    the_event,
    the_subscription,
)

pytestmark = pytest.mark.django_db


def end_of(period: int) -> datetime:
    """When the code stops: a day to collect the next payment, and `GRACE_DAYS`, after it."""
    return datetime.fromtimestamp(SALE.seconds(period), UTC) + timedelta(days=8)


@pytest.mark.parametrize("sale", [SALE, ONCE], ids=["subscription", "payment"])
def test_a_paid_checkout_is_recorded_and_requests_its_code(sale: Sale) -> None:
    result = stripe_sends(COMPLETED, sale)

    row = the_subscription()
    [request] = published()
    assert result == "handled"
    assert (row.client, row.user_id, row.email, row.plan, row.amount, row.currency, row.test) == (
        *("stripe", "user-42", "ada@example.com", "gold", 4900, "EUR"),
        True,
    )
    assert row.reference == sale.id("cs")
    assert isinstance(request.data, UserSubscribed)
    assert request.data.test is True


def test_a_live_checkout_is_no_test() -> None:
    stripe_sends(COMPLETED, replace(SALE, live=True))

    assert the_subscription().test is False


def test_what_comes_from_stripe_belongs_to_the_client_of_the_setting(
    settings: Settings,
) -> None:
    settings.STRIPE_CLIENT = "shop"
    stripe_sends(COMPLETED)

    [shown] = Api("shop").get(f"/v1/subscriptions?reference={SALE.id('cs')}").json()["results"]
    assert shown["email"] == "ada@example.com"


def test_a_checkout_without_payment_is_recorded_if_none_is_required() -> None:
    stripe_sends(COMPLETED, replace(SALE, paid="no_payment_required", amount=0))

    assert the_subscription().amount == 0


def test_a_checkout_that_is_not_paid_yet_is_recorded_once_it_is() -> None:
    unpaid = stripe_sends(COMPLETED, replace(ONCE, paid="unpaid"))
    assert (unpaid, Subscription.objects.count()) == ("ignored", 0)
    later = stripe_sends(PAID_LATER, ONCE)

    assert (later, Subscription.objects.count()) == ("handled", 1)


def test_a_checkout_is_one_subscription_whichever_events_report_it() -> None:
    stripe_sends(COMPLETED)
    stripe_sends(PAID_LATER)

    assert Subscription.objects.count() == len(published()) == 1


def test_the_first_invoice_sets_the_end_and_records_nothing_more() -> None:
    stripe_sends(COMPLETED)
    stripe_sends(PAID)

    assert the_subscription().valid_until == end_of(1)


def test_a_paid_invoice_renews() -> None:
    for kind, period in ((COMPLETED, 1), (PAID, 1), (FAILED, 2), (PAID, 2)):
        stripe_sends(kind, period=period)

    row = the_subscription()
    assert (row.valid_until, row.past_due_at) == (end_of(2), None)


def test_a_failed_invoice_makes_past_due() -> None:
    for kind, period in ((COMPLETED, 1), (PAID, 1), (FAILED, 2)):
        stripe_sends(kind, period=period)

    row = the_subscription()
    assert row.valid_until == end_of(1)
    assert row.past_due_at is not None


def test_the_end_of_the_subscription_cancels() -> None:
    stripe_sends(COMPLETED)
    stripe_sends(ENDED)

    assert the_subscription().cancelled_at is not None
    assert isinstance(published()[-1].data, SubscriptionCancelled)


def test_a_whole_refund_of_a_single_payment_refunds() -> None:
    stripe_sends(COMPLETED, ONCE)
    stripe_sends(REFUNDED, ONCE)

    assert the_subscription().status == "refunded"


def test_a_whole_refund_of_an_invoice_refunds() -> None:
    for kind in (COMPLETED, PAID, PAYMENT, REFUNDED):
        assert stripe_sends(kind) == "handled"

    assert the_subscription().status == "refunded"


def test_a_partial_refund_changes_nothing() -> None:
    stripe_sends(COMPLETED, ONCE)
    result = stripe_sends(REFUNDED, ONCE, refunded=100)

    assert result == "ignored"
    assert the_subscription().refunded_at is None


def test_partial_refunds_that_add_up_to_the_whole_refund() -> None:
    stripe_sends(COMPLETED, ONCE)
    stripe_sends(REFUNDED, ONCE, refunded=100)
    stripe_sends(REFUNDED, ONCE, refunded=4900)

    assert the_subscription().status == "refunded"


def test_the_owner_of_a_connected_account_sells_nothing_of_ours() -> None:
    response = send(event(COMPLETED, SALE) | {"account": "acct_1"})

    assert response.json() == {"result": "ignored"}
    assert not Subscription.objects.exists()


def test_a_change_that_came_by_the_api_is_kept() -> None:
    stripe_sends(COMPLETED)
    stripe_sends(PAID)
    row = the_subscription()
    lifecycle.renew(client="stripe", subscription_id=row.id, valid_until=end_of(9))
    stripe_sends(PAID, period=2)

    assert the_subscription().valid_until == end_of(9)


def test_an_event_about_what_has_ended_says_why_it_changed_nothing() -> None:
    for kind in (COMPLETED, ENDED, PAID):
        stripe_sends(kind)

    row = the_event(PAID)
    assert (row.state, row.reason) == (
        "handled",
        "the subscription is cancelled, which is for good: sell a new one",
    )


def test_other_events_are_kept_without_their_bodies() -> None:
    result = stripe_sends("customer.updated")

    row = ProviderEvent.objects.get()
    assert (result, row.state, row.body) == ("ignored", "ignored", None)


def test_nothing_about_a_test_finds_what_was_sold() -> None:
    stripe_sends(COMPLETED, replace(ONCE, live=True))
    result = stripe_sends(REFUNDED, ONCE)

    assert result == "unmatched"
    assert the_subscription().refunded_at is None
    assert ProviderLink.objects.filter(subscription_id__isnull=True, test=True).count() == 1


def test_a_proration_ends_with_its_period_and_not_after() -> None:
    made = event(PAID, SALE)
    [line] = made["data"]["object"]["lines"]["data"]
    proration = {
        "parent": {"type": "invoice_item_details"},
        "period": {"end": SALE.seconds(99)},
    }
    made["data"]["object"]["lines"]["data"] = [proration, line]
    stripe_sends(COMPLETED)
    send(made)

    assert the_subscription().valid_until == end_of(1)
    assert timedelta(days=30) == PERIOD
