"""Each real change of a subscription or an order is reported once, to its client's endpoints."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from admit_one.messaging.testing import an_envelope, deliver
from admit_one.webhooks import endpoints
from admit_one.webhooks.endpoints import Owner
from admit_one.webhooks.known import listeners
from admit_one.webhooks.models import Delivery
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from shared_contracts.events import (
    AccessCodeEmailed,
    AccessCodeRedeemed,
    AccessCodeReplaced,
    AccessCodeUndeliverable,
)
from subscriptions import ending, lifecycle, tasks
from subscriptions.models import Subscription

from tests.conftest import Api
from tests.factories import (
    CODE,
    OTHER_CODE,
    a_code_for,
    a_payload,
    a_subscription,
    an_order,
    seats_of,
)
from tests.reconciliation import both_sides

pytestmark = pytest.mark.django_db

SECRETS = (CODE, OTHER_CODE, "ada@example.com", "PO-7031", "card expired", "north", "user-42")


BEFORE = timezone.now() - timedelta(days=1)


@pytest.fixture(autouse=True)
def an_endpoint() -> None:
    listeners.forget()
    listen("shop")


def listen(client: str, *, test: bool = False) -> None:
    url = f"https://{client}.example.com/"
    endpoints.create(Owner(client, test), url=url, events=settings.WEBHOOK_EVENTS)
    listeners.forget()


def reported() -> list[tuple[str, str]]:
    """Type and status of each delivery so far, the first one first."""
    bodies = [json.loads(delivery.body) for delivery in Delivery.objects.order_by("id")]
    return [(body["type"], body["data"].get("status", "")) for body in bodies]


def active(**changes: Any) -> Subscription:
    """A subscription whose code has arrived, of which nothing was reported yet."""
    subscription = a_subscription(
        **{"reference": "PO-7031", "metadata": {"school": "north"}, **changes}
    )
    deliver(a_code_for(subscription.id))
    Delivery.objects.all().delete()
    return subscription


def at(days: float) -> datetime:
    return timezone.now() + timedelta(days=days)


def act(name: str, **options: Any) -> Callable[[UUID], object]:
    change = getattr(lifecycle, name)
    return lambda row_id: change(
        client="shop", subscription_id=row_id, reason="card expired", **options
    )


CHANGES: dict[str, tuple[Callable[[UUID], object], str]] = {
    "cancelled": (act("cancel"), "cancelled"),
    "refunded": (act("refund"), "refunded"),
    "past_due": (act("mark_past_due"), "past_due"),
    "mailed": (
        lambda row_id: deliver(
            an_envelope(AccessCodeEmailed, subscription_id=row_id, emailed_at=BEFORE)
        ),
        "active",
    ),
    "mail_failed": (
        lambda row_id: deliver(
            an_envelope(AccessCodeUndeliverable, subscription_id=row_id, failed_at=BEFORE)
        ),
        "active",
    ),
    "redeemed": (
        lambda row_id: deliver(
            an_envelope(AccessCodeRedeemed, subscription_id=row_id, uses=1, redeemed_at=BEFORE)
        ),
        "active",
    ),
}


@pytest.mark.parametrize("event", CHANGES)
def test_a_change_is_reported_once_however_often_it_is_made(event: str) -> None:
    subscription = active()
    change, status = CHANGES[event]
    change(subscription.id)
    change(subscription.id)

    assert reported() == [(f"subscription.{event}", status)]


def test_a_code_that_arrives_makes_it_active_once() -> None:
    subscription = a_subscription()
    deliver(a_code_for(subscription.id))
    deliver(a_code_for(subscription.id))

    assert reported() == [("subscription.active", "active")]


def test_a_code_that_arrives_as_a_replacement_makes_it_active_too() -> None:
    subscription = a_subscription()
    for generation in (2, 3):
        deliver(
            an_envelope(
                AccessCodeReplaced,
                subscription_id=subscription.id,
                generation=generation,
                access_code=OTHER_CODE,
            )
        )
    deliver(a_code_for(subscription.id))

    assert reported() == [("subscription.active", "active")]


@pytest.mark.parametrize("event", ["created", "replaced"])
def test_a_code_that_arrives_late_is_reported_although_a_payment_is_due(event: str) -> None:
    subscription = a_subscription()
    act("mark_past_due")(subscription.id)
    replaced = {"access_code": OTHER_CODE, "generation": 2, "issued_at": BEFORE}
    if event == "created":
        deliver(a_code_for(subscription.id))
    else:
        deliver(an_envelope(AccessCodeReplaced, subscription_id=subscription.id, **replaced))

    assert reported() == [
        ("subscription.past_due", "pending"),
        ("subscription.active", "past_due"),
    ]


@pytest.mark.parametrize("status", ["active", "past_due"])
def test_a_code_that_a_reconciliation_finds_is_reported_like_one_that_arrives(status: str) -> None:
    [pending] = both_sides.paid(code=None)
    if status == "past_due":
        act("mark_past_due")(pending)
    both_sides.compared(both_sides.codes([pending]), repair=True)
    deliver(both_sides.reported(pending, version=0))

    assert reported()[-1] == ("subscription.active", status)
    assert [event for event, _ in reported()].count("subscription.past_due") <= 1


@pytest.mark.parametrize(
    ("suspended", "event"), [(True, "subscription.past_due"), (False, "subscription.renewed")]
)
def test_terms_that_a_reconciliation_finds_are_reported_as_what_was_missed(
    suspended: bool, event: str
) -> None:
    [row_id] = both_sides.paid()
    if not suspended:
        act("mark_past_due")(row_id)
    Delivery.objects.all().delete()
    both_sides.compared({row_id: OTHER_CODE}, repair=True)
    changes = {"version": 2**40, "suspended": suspended, "valid_until": at(30)}
    deliver(both_sides.reported(row_id, access_code=OTHER_CODE, **changes))

    assert [reported_event for reported_event, _ in reported()] == [event]


def test_a_code_that_arrives_after_the_end_makes_nothing_active() -> None:
    cancelled, expired = a_subscription(), a_subscription(valid_until=at(-1))
    lifecycle.cancel(client="shop", subscription_id=cancelled.id)
    deliver(a_code_for(cancelled.id), a_code_for(expired.id, OTHER_CODE))

    assert reported() == [("subscription.cancelled", "cancelled")]


def test_a_refund_after_a_cancellation_is_reported_as_both() -> None:
    subscription = active()
    act("cancel")(subscription.id)
    act("refund")(subscription.id)

    assert reported() == [
        ("subscription.cancelled", "cancelled"),
        ("subscription.refunded", "refunded"),
    ]


def test_each_renewal_is_reported_once() -> None:
    subscription, later = active(valid_until=at(1)), at(30)
    for _ in range(2):
        act("renew", valid_until=later)(subscription.id)
    act("mark_past_due")(subscription.id)
    act("renew", valid_until=later)(subscription.id)

    assert [event for event, _ in reported()] == [
        "subscription.renewed",
        "subscription.past_due",
        "subscription.renewed",
    ]


def test_each_end_is_reported_once_when_it_has_passed() -> None:
    subscription = active(valid_until=at(1))
    tasks.report_ended()
    assert reported() == []

    Subscription.objects.update(valid_until=at(-0.1))
    for _ in range(2):
        tasks.report_ended()
    act("renew", valid_until=at(-0.05))(subscription.id)
    for _ in range(2):
        tasks.report_ended()

    assert reported() == [
        ("subscription.expired", "expired"),
        ("subscription.renewed", "expired"),
        ("subscription.expired", "expired"),
    ]


def test_no_end_is_reported_of_what_is_cancelled_or_ended_long_ago() -> None:
    cancelled = active(valid_until=at(1))
    act("cancel")(cancelled.id)
    active(valid_until=at(-8))
    Subscription.objects.filter(pk=cancelled.pk).update(valid_until=at(-1))

    assert ending.report_ended() == 0


def test_an_order_is_reported_as_completed_once() -> None:
    order = an_order(2)
    for seat, code in zip(seats_of(order), (CODE, OTHER_CODE), strict=True):
        for _ in range(2):
            deliver(a_code_for(seat, code))

    assert [event for event, _ in reported()] == ["subscription.active"] * 2 + ["order.completed"]
    [completed] = Delivery.objects.filter(type="order.completed")
    assert json.loads(completed.body)["data"] == {"order_id": str(order.id), "seats": 2}


def test_clients_and_tests_hear_of_their_own_only() -> None:
    listen("other")
    listen("shop", test=True)
    for client, test in (("shop", False), ("shop", True), ("other", False), ("third", False)):
        deliver(a_code_for(a_subscription(client=client, test=test, user_id=client).id, a_code()))

    rows = Delivery.objects.select_related("endpoint").order_by("id")
    assert [(row.endpoint.client, row.endpoint.test) for row in rows] == [
        ("shop", False),
        ("shop", True),
        ("other", False),
    ]


def a_code() -> str:
    return f"7K3M-Q9TX-2WBD-{Subscription.objects.count():04}"


def test_a_body_has_ids_and_states_and_nothing_else() -> None:
    subscription = active(valid_until=at(1))
    ends_last = sorted(CHANGES.values(), key=lambda each: each[1] in {"cancelled", "refunded"})
    for change, _ in ends_last:
        change(subscription.id)

    bodies = list(Delivery.objects.values_list("body", flat=True))
    assert len(bodies) == len(CHANGES)
    for body in bodies:
        assert not [secret for secret in SECRETS if secret in body]
        assert json.loads(body)["data"].keys() == {"subscription_id", "order_id", "status"}


def test_a_post_costs_no_query_more_for_webhooks(shop: Api, other_shop: Api) -> None:
    shop.post()  # reads the key, and who listens
    other_shop.post()
    with CaptureQueriesContext(connection) as queries:
        shop.post(a_payload(user_id="user-43"))

    assert "webhooks" not in "".join(query["sql"] for query in queries)


def test_reports_of_many_cost_as_many_queries_as_of_one() -> None:
    def queries(count: int) -> int:
        ids = [a_subscription(user_id=f"user-{n}").id for n in range(count)]
        codes = [a_code_for(row_id, f"7K3M-Q9TX-2WBD-{row_id.hex[-4:].upper()}") for row_id in ids]
        listeners.to("subscription.active")
        with CaptureQueriesContext(connection) as captured:
            deliver(*codes)
        return len(captured)

    assert queries(20) == queries(1)
