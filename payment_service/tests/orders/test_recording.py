"""One request records many subscriptions, all or none."""

from __future__ import annotations

from typing import Any
from unittest.mock import ANY

import pytest
from admit_one.messaging.testing import deliver, published
from admit_one.web.limits import counting
from pytest_django import Settings
from subscriptions import lifecycle
from subscriptions.models import MetadataEntry, Order, Subscription

from tests.conftest import Api
from tests.factories import a_code_for, a_payload, an_order, seats_of
from tests.orders.api import ORDERS, post
from tests.test_paging import walk

pytestmark = pytest.mark.django_db


def seats(count: int) -> list[dict[str, Any]]:
    return [a_payload(user_id=f"user-{n}", reference=f"seat-{n}") for n in range(count)]


def test_an_order_is_answered_with_its_pending_seats(shop: Api) -> None:
    answer = post(shop, subscriptions=seats(3), reference="PO-1", metadata={"school": "north"})

    assert answer.status_code == 202
    assert answer["Location"] == f"{ORDERS}/{answer.json()['id']}"
    assert answer["Retry-After"] == "1"
    assert answer.json() == {
        "id": ANY,
        "reference": "PO-1",
        "metadata": {"school": "north"},
        "seats": 3,
        "created_at": ANY,
        "completed_at": None,
        "counts": {
            "pending": 3,
            "active": 0,
            "past_due": 0,
            "expired": 0,
            "cancelled": 0,
            "refunded": 0,
            "failed": 0,
        },
    }


def test_each_seat_is_a_subscription_that_requests_its_code(shop: Api) -> None:
    terms = {"valid_until": "2100-01-01T00:00:00Z", "uses": 3}
    single = shop.post(a_payload(**terms))
    answer = post(shop, subscriptions=[a_payload(**terms)])
    [of_order] = shop.get(f"/v1/subscriptions?order={answer.json()['id']}").json()["results"]
    alone = shop.get(single["Location"]).json()
    first, second = published()

    own = {"id", "order", "created_at", "updated_at"}
    assert {k: v for k, v in of_order.items() if k not in own} == {
        k: v for k, v in alone.items() if k not in own
    }
    assert of_order["order"] == answer.json()["id"]
    assert second.subject == of_order["id"]
    changing = {"subscription_id", "occurred_at", "version"}
    assert {k: v for k, v in dict(second.data).items() if k not in changing} == {
        k: v for k, v in dict(first.data).items() if k not in changing
    }


def test_an_invalid_seat_is_named_and_nothing_is_recorded(shop: Api) -> None:
    bad = [*seats(2), a_payload(email="nobody"), a_payload(amount=-1, plan="a/b"), "text"]
    answer = post(shop, subscriptions=bad, Idempotency_Key="k")

    assert answer.status_code == 400
    assert [(e["field"], e["pointer"]) for e in answer.json()["errors"]] == [
        ("subscriptions.2.email", "#/subscriptions/2/email"),
        ("subscriptions.3.plan", "#/subscriptions/3/plan"),
        ("subscriptions.3.amount", "#/subscriptions/3/amount"),
        ("subscriptions.4", "#/subscriptions/4"),
    ]
    assert (Order.objects.count(), Subscription.objects.count(), published()) == (0, 0, [])


def test_faults_of_ten_seats_are_enough(shop: Api) -> None:
    answer = post(shop, subscriptions=[{}] * 500)

    assert {e["field"].split(".")[1] for e in answer.json()["errors"]} == set(map(str, range(10)))
    assert len(answer.json()["detail"]) < 32_768


@pytest.mark.parametrize(
    ("subscriptions", "expected"),
    [
        ([], "expected at least one subscription"),
        (None, "expected a value, got null"),
        ({"0": {}}, "expected a JSON array of subscriptions"),
        ([a_payload()] * 501, "expected at most 500 subscriptions"),
    ],
)
def test_an_order_has_one_to_five_hundred_seats(
    shop: Api, subscriptions: Any, expected: str
) -> None:
    answer = post(shop, subscriptions=subscriptions)

    assert answer.status_code == 400
    assert answer.json()["detail"] == f"subscriptions: {expected}"


def test_five_hundred_seats_with_long_fields_fit(shop: Api) -> None:
    long = {"user_id": "u" * 64, "email": f"{'a' * 60}@example.com", "reference": "r" * 60}
    answer = post(shop, subscriptions=[a_payload(**long, metadata={"seat": "x" * 100})] * 500)

    assert (answer.status_code, answer.json()["seats"]) == (202, 500)
    assert Subscription.objects.count() == len(published()) == MetadataEntry.objects.count() == 500


def test_a_failure_half_way_records_nothing(shop: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("subscriptions.orders.recording.publish", fail)
    shop.http.raise_request_exception = False
    answer = post(shop, subscriptions=seats(3), Idempotency_Key="k")
    monkeypatch.undo()
    again = post(shop, subscriptions=seats(3), Idempotency_Key="k")

    assert (answer.status_code, again.status_code) == (500, 202)
    assert (Order.objects.count(), Subscription.objects.count()) == (1, 3)


def test_a_repeated_order_is_answered_with_the_first_result(shop: Api) -> None:
    first = post(shop, subscriptions=seats(2), Idempotency_Key="k")
    again = post(shop, subscriptions=seats(2), Idempotency_Key="k")
    other = post(shop, subscriptions=seats(3), Idempotency_Key="k")

    assert (again.json(), again["Location"]) == (first.json(), first["Location"])
    assert again["Idempotency-Replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert Subscription.objects.count() == 2


def test_a_key_of_a_subscription_is_none_of_an_order(shop: Api) -> None:
    shop.post(Idempotency_Key="k")

    assert post(shop, subscriptions=seats(1), Idempotency_Key="k").status_code == 422


def test_what_a_test_key_orders_is_marked() -> None:
    post(Api("shop", test=True), subscriptions=seats(2))

    assert set(Subscription.objects.values_list("test", flat=True)) == {True}
    assert Order.objects.get().test


def test_an_order_counts_its_seats_by_state(shop: Api) -> None:
    order = an_order(4)
    first, second, third, _ = seats_of(order)
    deliver(a_code_for(first), a_code_for(second))
    lifecycle.refund(client="shop", subscription_id=second)
    lifecycle.mark_past_due(client="shop", subscription_id=first)
    lifecycle.cancel(client="shop", subscription_id=third)
    answer = shop.get(f"{ORDERS}/{order.id}")
    counts = answer.json()["counts"]

    assert {name: count for name, count in counts.items() if count} == {
        "past_due": 1,
        "refunded": 1,
        "cancelled": 1,
        "pending": 1,
    }
    assert answer["Retry-After"] == "1"
    assert (
        shop.http.get(f"{ORDERS}/{order.id}", headers={"If-None-Match": answer["ETag"]}).status_code
        == 304
    )


@pytest.mark.parametrize("name", ["nothing", "00000000-0000-7000-8000-000000000000"])
def test_an_order_that_does_not_exist_is_404(shop: Api, name: str) -> None:
    assert shop.get(f"{ORDERS}/{name}").status_code == 404


def test_a_client_sees_no_orders_of_others(shop: Api, other_shop: Api) -> None:
    order = an_order(1)
    own = f"/v1/subscriptions?order={order.id}"

    assert other_shop.get(f"{ORDERS}/{order.id}").status_code == 404
    assert other_shop.get(ORDERS).json()["results"] == []
    assert other_shop.get(own).json()["results"] == []
    assert [row["id"] for row in shop.get(own).json()["results"]] == [str(seats_of(order)[0])]


def test_each_method_needs_its_scope() -> None:
    order = f"{ORDERS}/{an_order(1).id}"
    reader, writer = Api("shop", "subscriptions:read"), Api("shop", "subscriptions:write")

    assert [api.get(path).status_code for api in (reader, writer) for path in (ORDERS, order)] == [
        200,
        200,
        403,
        403,
    ]
    assert [post(api, subscriptions=seats(1)).status_code for api in (reader, writer)] == [403, 202]


def test_orders_are_listed_newest_first_and_found_by_reference(shop: Api) -> None:
    made = [an_order(1, reference=f"PO-{n % 2}") for n in range(4)]
    ids = [str(order.id) for order in made][::-1]
    pages = walk(shop, f"{ORDERS}?limit=3")
    since = made[2].created_at.isoformat().replace("+00:00", "Z")

    assert pages == [ids[:3], ids[3:]]
    assert walk(shop, f"{ORDERS}?reference=PO-1") == [[ids[0], ids[2]]]
    assert walk(shop, f"{ORDERS}?created_since={since}") == [ids[:2]]
    assert walk(shop, f"{ORDERS}?created_until={since}") == [ids[2:]]
    assert shop.get(f"{ORDERS}?status=active").status_code == 400


def test_an_order_counts_as_many_requests_as_it_has_seats(shop: Api, settings: Settings) -> None:
    settings.API_RATE_PER_KEY = 10
    first = post(shop, subscriptions=seats(6), Idempotency_Key="k")
    again = post(shop, subscriptions=seats(6), Idempotency_Key="k")
    refused = post(shop, subscriptions=seats(4))

    assert [first.status_code, again.status_code, refused.status_code] == [202, 202, 429]
    assert first["RateLimit"].startswith('"key";r=4;')
    assert int(refused["Retry-After"]) > 0
    assert Subscription.objects.count() == 6


def test_an_order_larger_than_the_limit_counts_as_a_whole_minute(
    shop: Api, settings: Settings
) -> None:
    settings.API_RATE_PER_KEY = 3

    assert post(shop, subscriptions=seats(5)).status_code == 202
    assert shop.get(ORDERS).status_code == 429
    assert counting.RATE_PER_KEY == 6_000
