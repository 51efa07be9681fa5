"""What an event holds is checked like a request to the API, and what lacks something is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from providers.fake_stripe import event
from subscriptions.models import Subscription

from tests.providers.stripe_steps import (
    COMPLETED,
    ENDED,
    PAID,
    PAYMENT,
    REFUNDED,
    SALE,
    send,
    stripe_sends,
    the_event,
    the_subscription,
)

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("lacking", "named"),
    [
        ({"plan": None}, "plan"),
        ({"user_id": None}, "user_id"),
        ({"email": None}, "email"),
        ({"plan": None, "user_id": ""}, "user_id, plan"),
    ],
)
def test_a_checkout_that_lacks_something_is_kept_and_shown_as_unmatched(
    lacking: dict[str, Any], named: str
) -> None:
    stripe_sends(COMPLETED, replace(SALE, **lacking))

    row = the_event(COMPLETED)
    assert (row.state, Subscription.objects.count()) == ("unmatched", 0)
    assert row.reason == (
        f"it lacks {named}; expected user_id (client_reference_id or metadata), "
        "email (customer_details), plan (metadata)"
    )
    assert row.opened() is not None
    assert (row.amount, row.currency) == (4900, "EUR")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"customer_details": {"email": "ada@example.com, eve@evil.example"}}, "email"),
        ({"customer_details": {"email": "ada"}}, "email"),
        ({"customer_details": {"email": 7}}, "email"),
        ({"client_reference_id": "x" * 65}, "user_id"),
        ({"client_reference_id": ["x"]}, "user_id"),
        ({"metadata": {"plan": "https://evil.example"}}, "plan"),
        ({"metadata": {"plan": "a" * 65}}, "plan"),
        ({"currency": "xxx"}, "currency"),
        ({"currency": None}, "currency"),
        ({"amount_total": -1}, "amount"),
        ({"amount_total": 2**53}, "amount"),
        ({"amount_total": "4900"}, "amount"),
        ({"amount_total": None}, "amount"),
    ],
)
def test_a_checkout_is_checked_like_a_request_to_the_api(
    changes: dict[str, Any], named: str
) -> None:
    made = event(COMPLETED, SALE)
    made["data"]["object"] |= changes
    response = send(made)

    row = the_event(COMPLETED)
    assert (response.status_code, response.json()) == (200, {"result": "failed"})
    assert row.state == "failed"
    assert f"{named}: expected" in row.reason
    assert Subscription.objects.count() == 0
    assert "evil" not in row.reason


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (COMPLETED, {"id": None}),
        (COMPLETED, {"id": {"id": "cs_1"}}),
        (COMPLETED, {"id": "cs " * 3}),
        (COMPLETED, {"id": "c" * 256}),
        (COMPLETED, {"mode": 7}),
        (COMPLETED, {"metadata": []}),
        (COMPLETED, {"metadata": "plan"}),
        (PAID, {"lines": {"data": []}}),
        (PAID, {"lines": {"data": [{"period": {"end": 10**18}}]}}),
        (PAID, {"lines": {"data": [{"period": {"end": 1}}], "has_more": True}}),
        (PAID, {"lines": None}),
        (PAID, {"parent": 7}),
        (PAYMENT, {"payment": None}),
        (ENDED, {"id": 7}),
        (PAID, {"created": None}),
        (PAID, {"lines": {"data": [{"period": {"end": 253_402_300_799}}]}}),
        (REFUNDED, {"refunded": None}),
    ],
)
def test_what_cannot_be_read_is_kept_as_failed(kind: str, changes: dict[str, Any]) -> None:
    made = event(kind, SALE)
    made["data"]["object"] |= changes
    response = send(made)

    assert (response.status_code, response.json()) == (200, {"result": "failed"})
    assert the_event(kind).reason


@pytest.mark.parametrize(
    ("currency", "amount", "kept"),
    [("jpy", 500, 500), ("kwd", 12_340, 12_340), ("isk", 500, 5), ("ugx", 500, 5), ("mga", 5, 500)],
)
def test_amounts_are_kept_in_minor_units_of_iso_4217(currency: str, amount: int, kept: int) -> None:
    stripe_sends(COMPLETED, replace(SALE, currency=currency, amount=amount))

    assert the_subscription().amount == kept
