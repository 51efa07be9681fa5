"""An order is complete once, in the commit that leaves no seat pending."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from admit_one.messaging.testing import an_envelope, deliver
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client import REGISTRY
from shared_contracts.events import AccessCodeFailed, AccessCodeReplaced
from subscriptions import lifecycle
from subscriptions.models import Order, Subscription

from tests.conftest import Api
from tests.factories import CODE, a_code_for, a_subscription, an_order, seats_of
from tests.orders.api import ORDERS
from tests.reconciliation.both_sides import compared, reported
from tools.system.eventually import eventually
from tools.system.races import somebody_waits


def fails(seat: UUID) -> None:
    deliver(an_envelope(AccessCodeFailed, subscription_id=seat))


def gets_a_later_code(seat: UUID) -> None:
    deliver(an_envelope(AccessCodeReplaced, subscription_id=seat, generation=2))


def is_found_cancelled(seat: UUID) -> None:
    Subscription.objects.update(created_at=timezone.now() - timedelta(days=1))
    compared({seat: CODE}, repair=True, revoked=[seat])
    deliver(reported(seat, user_id="user-0", cancelled_at=timezone.now()))


def is_found_with_a_code(seat: UUID) -> None:
    Subscription.objects.update(created_at=timezone.now() - timedelta(days=1))
    compared({seat: CODE}, repair=True, revoked=[seat])
    deliver(reported(seat, user_id="user-0", access_code=CODE))


ENDS: dict[str, Callable[[UUID], Any]] = {
    "its code arrives": lambda seat: deliver(a_code_for(seat)),
    "a later code arrives first": gets_a_later_code,
    "its code fails": fails,
    "it is cancelled": lambda seat: lifecycle.cancel(client="shop", subscription_id=seat),
    "it is refunded": lambda seat: lifecycle.refund(client="shop", subscription_id=seat),
    "a comparison finds it cancelled": is_found_cancelled,
    "a comparison finds its code": is_found_with_a_code,
}


def completed_at(order: Order) -> Any:
    return Order.objects.get(pk=order.pk).completed_at


@pytest.mark.django_db
@pytest.mark.parametrize("end", ENDS)
def test_an_order_is_complete_when_its_last_seat(end: str) -> None:
    order = an_order(2)
    last, first = seats_of(order)
    other = an_order(1)
    deliver(a_code_for(first))

    assert completed_at(order) is None
    ENDS[end](last)
    assert completed_at(order) is not None
    assert completed_at(other) is None


@pytest.mark.django_db
def test_what_happens_later_does_not_change_when_it_was_complete(shop: Api) -> None:
    order = an_order(1)
    [seat] = seats_of(order)
    fails(seat)
    at = completed_at(order)
    failed = shop.get(f"{ORDERS}/{order.id}").json()
    deliver(a_code_for(seat))
    deliver(a_code_for(seat))
    lifecycle.cancel(client="shop", subscription_id=seat)
    ended = shop.get(f"{ORDERS}/{order.id}")

    assert (failed["counts"]["failed"], failed["counts"]["pending"]) == (1, 0)
    assert completed_at(order) == at is not None
    assert (ended.json()["counts"]["cancelled"], ended.json()["counts"]["failed"]) == (1, 0)
    assert "Retry-After" not in ended


@pytest.mark.django_db(transaction=True)
def test_it_is_logged_and_counted_once(caplog: pytest.LogCaptureFixture) -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value("subscriptions_orders_completed_total") or 0.0

    before = counted()
    order = an_order(2)
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            deliver(*map(a_code_for, seats_of(order)))

    events = [getattr(record, "event", "") for record in caplog.records]
    assert events.count("order_completed") == 1
    assert counted() - before == 1


@pytest.mark.django_db(transaction=True)
def test_it_is_not_complete_if_the_change_is_rolled_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    order = an_order(1)
    with caplog.at_level(logging.INFO), transaction.atomic():
        deliver(a_code_for(seats_of(order)[0]))
        transaction.set_rollback(True)

    assert completed_at(order) is None
    assert "order_completed" not in [getattr(record, "event", "") for record in caplog.records]


@pytest.mark.django_db
def test_a_batch_without_orders_costs_no_query_more_and_with_orders_two() -> None:
    alone, seats = [a_subscription().id for _ in range(3)], seats_of(an_order(4))

    def queries(batch: list[UUID]) -> int:
        with CaptureQueriesContext(connection) as captured:
            deliver(*map(a_code_for, batch))
        return sum("subscriptions_" in query["sql"] for query in captured)

    assert queries(alone) == 1
    assert queries(seats[:3]) == 3


@pytest.mark.django_db
def test_one_batch_completes_many_orders() -> None:
    orders = [an_order(2) for _ in range(5)]
    deliver(*(a_code_for(seat) for order in orders for seat in seats_of(order)))

    assert Order.objects.filter(completed_at__isnull=True).count() == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
def test_an_order_is_complete_when_its_last_two_seats_end_at_once() -> None:
    order = an_order(2)
    first, second = seats_of(order)
    ended = threading.Event()

    def cancel_the_second() -> None:
        try:
            lifecycle.cancel(client="shop", subscription_id=second)
        finally:
            connections.close_all()
            ended.set()

    other = threading.Thread(target=cancel_the_second)
    with transaction.atomic():
        deliver(a_code_for(first))
        other.start()
        eventually(lambda: ended.is_set() or somebody_waits())
    other.join(timeout=30)

    assert Subscription.objects.filter(cancelled_at__isnull=False).count() == 1
    assert completed_at(order) is not None


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
def test_an_order_of_many_seats_that_end_in_many_threads_is_complete_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    order = an_order(40)
    seats = seats_of(order)

    def end(part: list[UUID]) -> None:
        try:
            for seat in part:
                deliver(a_code_for(seat))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=end, args=(seats[n::4],)) for n in range(4)]
    with caplog.at_level(logging.INFO):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)

    assert Subscription.objects.filter(access_code__isnull=True).count() == 0
    assert completed_at(order) is not None
    events = [getattr(record, "event", "") for record in caplog.records]
    assert events.count("order_completed") == 1
