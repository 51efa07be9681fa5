"""In whatever order Stripe's events come, and however often, they end in the same state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from admit_one.messaging import OutboxMessage
from admit_one.messaging.testing import published
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from providers.models import ProviderEvent, ProviderLink, ProviderStanding
from shared_contracts.events import UserSubscribed
from subscriptions.models import Subscription

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
    stripe_sends,
)

pytestmark = pytest.mark.django_db

Step = tuple[str, int]


def state() -> tuple[object, ...] | None:
    """What has become of the sale; what has ended keeps the terms that it had."""
    row = Subscription.objects.first()
    if row is None:
        return None
    if row.cancelled_at is not None:
        return ("refunded" if row.refunded_at is not None else "cancelled",)
    return row.valid_until, row.past_due_at is not None


def end_of(period: int) -> datetime:
    """When the code stops: a day to collect the next payment, and `GRACE_DAYS`, after it."""
    return datetime.fromtimestamp(SALE.seconds(period), UTC) + timedelta(days=8)


def forget() -> None:
    for model in (ProviderEvent, ProviderLink, ProviderStanding, OutboxMessage, Subscription):
        model.objects.all().delete()


TABLE = {
    "renewed before it was recorded": (
        [(PAID, 1), (COMPLETED, 1)],
        (end_of(1), False),
    ),
    "an earlier period is paid after a later one": (
        [(COMPLETED, 1), (PAID, 2), (PAID, 1)],
        (end_of(2), False),
    ),
    "the failure of what is paid comes late": (
        [(COMPLETED, 1), (PAID, 1), (PAID, 2), (FAILED, 2)],
        (end_of(2), False),
    ),
    "an earlier period is paid after a later one failed": (
        [(COMPLETED, 1), (FAILED, 2), (PAID, 1)],
        (end_of(1), True),
    ),
    "past due before it was recorded": (
        [(FAILED, 2), (PAID, 1), (COMPLETED, 1)],
        (end_of(1), True),
    ),
    "cancelled before it was recorded": (
        [(ENDED, 1), (COMPLETED, 1)],
        ("cancelled",),
    ),
    "refunded before it was recorded": (
        [(REFUNDED, 1), (PAYMENT, 1), (PAID, 1), (COMPLETED, 1)],
        ("refunded",),
    ),
    "renewed after it was cancelled": (
        [(COMPLETED, 1), (PAID, 1), (ENDED, 1), (PAID, 2)],
        ("cancelled",),
    ),
    "refunded after it was cancelled": (
        [(COMPLETED, 1), (PAID, 1), (ENDED, 1), (PAYMENT, 1), (REFUNDED, 1)],
        ("refunded",),
    ),
    "reported as paid at once and later": (
        [(PAID_LATER, 1), (COMPLETED, 1)],
        (None, False),
    ),
    "never recorded": ([(PAID, 1), (FAILED, 2), (REFUNDED, 1), (ENDED, 1)], None),
}


@pytest.mark.parametrize("case", TABLE)
def test_events_out_of_order_have_a_result_by_a_rule(case: str) -> None:
    steps, expected = TABLE[case]
    for kind, period in steps:
        stripe_sends(kind, period=period)

    assert state() == expected


def test_a_refund_finds_its_subscription_in_every_order() -> None:
    ends = set()
    for order in permutations((COMPLETED, PAID, PAYMENT, REFUNDED)):
        forget()
        for kind in order:
            stripe_sends(kind)
        ends.add(state())
        assert set(ProviderEvent.objects.values_list("state", flat=True)) == {"handled"}

    assert ends == {("refunded",)}


@st.composite
def deliveries(draw: DrawFn) -> tuple[list[Step], list[Step]]:
    """A part of a sale's events in the order in which they happened, and one with repetitions."""
    lives = [(COMPLETED, 1), (PAID, 1), (PAYMENT, 1), (FAILED, 2), (PAID, 2), (PAYMENT, 2)]
    lives += [(FAILED, 3), (PAID, 3)]
    happened = [step for step in lives if draw(st.booleans())]
    if draw(st.booleans()):
        happened.append(draw(st.sampled_from([(PAID_LATER, 1), (ENDED, 1), (REFUNDED, 2)])))
    repeated = happened + [step for step in happened if draw(st.booleans())]
    return happened, draw(st.permutations(repeated))


@given(deliveries())
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_every_order_and_repetition_ends_in_the_same_state_with_one_code_or_none(
    delivered: tuple[list[Step], list[Step]],
) -> None:
    ends = []
    for steps in delivered:
        forget()
        for kind, period in steps:
            stripe_sends(kind, period=period)
        is_paid = (COMPLETED, 1) in steps or (PAID_LATER, 1) in steps
        requests = {each.subject for each in published() if isinstance(each.data, UserSubscribed)}
        assert Subscription.objects.count() == len(requests) == is_paid
        ends.append((state(), waiting()))

    assert ends[0] == ends[1]


def waiting() -> set[tuple[str, str]]:
    return set(ProviderEvent.objects.exclude(state="handled").values_list("type", "waits_for"))


def test_a_checkout_in_payment_mode_is_refunded_in_both_orders() -> None:
    for order in permutations((COMPLETED, REFUNDED)):
        forget()
        for kind in order:
            stripe_sends(kind, ONCE)
        assert state() == ("refunded",)
