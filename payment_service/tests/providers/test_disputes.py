"""A dispute changes nothing until it is lost, and people hear of it, as of a refund that failed."""

from __future__ import annotations

from itertools import permutations

import pytest
from admit_one.messaging.why import timeline
from providers.fake_stripe import event
from providers.models import ProviderEvent, ProviderLink, ProviderStanding
from subscriptions.models import Subscription

from tests.providers.stripe_steps import (
    COMPLETED,
    DISPUTE_CLOSED,
    DISPUTED,
    ENDED,
    ONCE,
    PAID,
    PAYMENT,
    REFUND_FAILED,
    REFUNDED,
    SALE,
    send,
    stripe_sends,
    the_event,
    the_subscription,
)

pytestmark = pytest.mark.django_db

NOT_LOST = ("won", "warning_closed", "prevented")


def test_a_dispute_keeps_access_and_is_shown_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    stripe_sends(COMPLETED, ONCE)
    result = stripe_sends(DISPUTED, ONCE)

    row, kept = the_subscription(), the_event(DISPUTED)
    assert (result, row.cancelled_at, kept.subscription_id) == ("handled", None, row.pk)
    assert kept.reason == "a payment is disputed (needs_response): answer that at Stripe"
    assert (kept.amount, kept.currency) == (4900, "EUR")
    steps = [step.what for step in timeline.of(str(row.pk)).steps]
    assert [step for step in steps if "a payment is disputed" in step]
    [record] = [r for r in caplog.records if r.levelname == "WARNING"]
    assert record.event == "provider_problem_reported"  # type: ignore[attr-defined]


def test_an_inquiry_is_shown_as_what_it_is() -> None:
    stripe_sends(COMPLETED, ONCE)
    stripe_sends(DISPUTED, ONCE, status="warning_needs_response")

    assert "(warning_needs_response)" in the_event(DISPUTED).reason


@pytest.mark.parametrize("status", NOT_LOST)
def test_a_dispute_that_is_not_lost_changes_nothing(status: str) -> None:
    stripe_sends(COMPLETED, ONCE)
    stripe_sends(DISPUTED, ONCE)
    stripe_sends(DISPUTE_CLOSED, ONCE, status=status)

    assert the_subscription().cancelled_at is None
    assert the_event(DISPUTE_CLOSED).reason == f"a dispute is closed: {status}"


def test_a_lost_dispute_is_a_refund() -> None:
    stripe_sends(COMPLETED, ONCE)
    stripe_sends(DISPUTE_CLOSED, ONCE)

    assert (the_subscription().status, the_event(DISPUTE_CLOSED).reason) == ("refunded", "")


def test_a_dispute_about_an_invoice_finds_its_subscription_in_every_order() -> None:
    ends = set()
    for order in permutations((COMPLETED, PAID, PAYMENT, DISPUTED, DISPUTE_CLOSED)):
        for model in (ProviderEvent, ProviderLink, ProviderStanding, Subscription):
            model.objects.all().delete()
        for kind in order:
            stripe_sends(kind)
        ends.add(the_subscription().status)
        assert set(ProviderEvent.objects.values_list("state", flat=True)) == {"handled"}

    assert ends == {"refunded"}


def test_a_dispute_after_the_end_is_shown_all_the_same() -> None:
    for kind in (COMPLETED, PAID, PAYMENT, ENDED, DISPUTED):
        stripe_sends(kind)

    assert the_subscription().status == "cancelled"
    assert (
        the_event(DISPUTED).reason
        == "a payment is disputed (needs_response): answer that at Stripe"
    )


def test_a_dispute_of_a_charge_without_a_payment_intent_is_found_by_its_charge() -> None:
    payment = event(PAYMENT, SALE)
    payment["data"]["object"]["payment"] = {"type": "charge", "charge": SALE.id("ch", 1)}
    lost = event(DISPUTE_CLOSED, SALE)
    lost["data"]["object"]["payment_intent"] = None
    stripe_sends(COMPLETED)
    stripe_sends(PAID)
    send(payment)
    send(lost)

    assert the_subscription().status == "refunded"


def test_a_dispute_about_nothing_of_ours_waits() -> None:
    assert stripe_sends(DISPUTED) == "unmatched"
    assert the_event(DISPUTED).waits_for == SALE.id("pi", 1)


def test_a_refund_that_fails_undoes_nothing_and_is_shown() -> None:
    stripe_sends(COMPLETED, ONCE)
    stripe_sends(REFUNDED, ONCE)
    result = stripe_sends(REFUND_FAILED, ONCE)

    assert (result, the_subscription().status) == ("handled", "refunded")
    assert the_event(REFUND_FAILED).reason.startswith("a refund failed: pay it back in another way")


def test_a_refund_that_fails_before_it_is_reported_undoes_nothing_either() -> None:
    stripe_sends(REFUND_FAILED, ONCE)
    stripe_sends(REFUNDED, ONCE)
    stripe_sends(COMPLETED, ONCE)

    assert the_subscription().status == "refunded"
    assert the_event(REFUND_FAILED).state == "handled"
