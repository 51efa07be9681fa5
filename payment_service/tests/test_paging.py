from __future__ import annotations

from urllib.parse import quote

import pytest
from subscriptions.models import Subscription

from tests.conftest import Api
from tests.factories import a_payload, a_subscription


def walk(shop: Api, path: str) -> list[list[str]]:
    """The ids on each page, following `next` to the end."""
    pages = []
    following: str | None = path
    while following:
        page = shop.get(following).json()
        pages.append([row["id"] for row in page["results"]])
        following = page["next"]
    return pages


@pytest.mark.parametrize(
    ("rows", "sizes"), [(0, [0]), (2, [2]), (3, [2, 1]), (4, [2, 2]), (5, [2, 2, 1])]
)
def test_the_pages_list_every_subscription_once_newest_first(
    shop: Api, rows: int, sizes: list[int]
) -> None:
    created = [str(a_subscription().id) for _ in range(rows)]
    pages = walk(shop, "/v1/subscriptions?limit=2")

    assert [len(page) for page in pages] == sizes
    assert [row_id for page in pages for row_id in page] == created[::-1]


def test_new_subscriptions_do_not_shift_the_pages(shop: Api) -> None:
    created = [str(a_subscription().id) for _ in range(4)]
    first = shop.get("/v1/subscriptions?limit=2").json()
    a_subscription()

    assert walk(shop, first["next"]) == [created[1::-1]]


def test_a_page_has_fifty_subscriptions_by_default(shop: Api) -> None:
    for _ in range(51):
        a_subscription()
    page = shop.get("/v1/subscriptions").json()

    assert len(page["results"]) == 50
    assert Subscription.objects.count() == 51


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=1000000000",
        "limit=",
        "limit=ten",
        "limit=%D9%A1",
        "limit=1.0",
        "cursor=",
        "cursor=garbage",
        "cursor=%00",
        "cursor=AAAAAAAAAAAAAAAAAAAAAA",
        "cursor=AAAAAAAAAAMAAAAAAAAAAAAAAAAAAAAA",
        "cursor=" + "_" * 32,
        "cursor=" + "A" * 5_000,
    ],
)
def test_an_invalid_limit_or_cursor_is_refused(shop: Api, query: str) -> None:
    response = shop.get(f"/v1/subscriptions?{query}")

    [fault] = response.json()["errors"]
    assert (response.status_code, fault["field"]) == (400, query.partition("=")[0])


@pytest.mark.parametrize("path", ["subscriptions", "orders"])
def test_a_wrong_limit_and_a_wrong_filter_are_named_at_once(shop: Api, path: str) -> None:
    response = shop.get(f"/v1/{path}?limit=0&created_since=yesterday")

    faults = {fault["field"] for fault in response.json()["errors"]}
    assert (response.status_code, faults) == (400, {"limit", "created_since"})


@pytest.mark.parametrize("query", ["limit=1&limit=2", "limit=2&limit=2", "cursor=a&cursor=b"])
def test_a_parameter_that_comes_twice_is_refused(shop: Api, query: str) -> None:
    response = shop.get(f"/v1/subscriptions?{query}")

    [fault] = response.json()["errors"]
    assert (response.status_code, response.json()["code"]) == (400, "invalid")
    assert (fault["field"], fault["code"]) == (query.partition("=")[0], "repeated")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("user=nobody", "user"),
        ("Limit=1", "Limit"),
        ("limit=1&page=2", "page"),
        ("format=json", "format"),
        ("state", "state"),
        ("limit%5B%5D=1", "limit[]"),
        ("x" * 1_000, "x" * 64),
    ],
)
def test_an_unknown_parameter_is_refused_by_name(shop: Api, query: str, name: str) -> None:
    a_subscription()

    response = shop.get(f"/v1/subscriptions?{query}")

    assert response.status_code == 400
    assert response.json()["errors"] == [
        {
            "field": name,
            "pointer": f"#/{quote(name)}",
            "code": "unknown",
            "detail": "expected only limit, cursor, user_id, email, plan, order, "
            "reference, metadata, status, created_since, created_until, updated_since",
        }
    ]


def test_no_other_address_takes_a_parameter(shop: Api) -> None:
    subscription = a_subscription()
    path = f"/v1/subscriptions/{subscription.id}"

    answers = [
        shop.http.post("/v1/subscriptions?limit=1", a_payload(), "application/json"),
        shop.get(f"{path}?user_id=nobody"),
        shop.http.head(f"{path}?user_id=nobody"),
        shop.http.generic("POST", f"{path}/cancel?dry_run=1", b"", ""),
    ]

    assert [answer.status_code for answer in answers] == [400] * 4
    assert answers[0].json()["errors"][0]["detail"] == "expected no query"
    assert [row.status for row in Subscription.objects.all()] == ["pending"]


def test_more_parameters_than_anybody_needs_are_refused(shop: Api) -> None:
    response = shop.get("/v1/subscriptions?" + "&".join(f"p{n}=1" for n in range(2_000)))

    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
