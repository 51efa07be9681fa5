from __future__ import annotations

import pytest
from subscriptions.models import Subscription

from tests.conftest import Api
from tests.factories import a_subscription


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
def test_pages_hold_every_subscription_once_newest_first(
    shop: Api, rows: int, sizes: list[int]
) -> None:
    created = [str(a_subscription().id) for _ in range(rows)]
    pages = walk(shop, "/v1/subscriptions?limit=2")

    assert [len(page) for page in pages] == sizes
    assert [row_id for page in pages for row_id in page] == created[::-1]


def test_what_is_added_meanwhile_does_not_shift_the_pages(shop: Api) -> None:
    created = [str(a_subscription().id) for _ in range(4)]
    first = shop.get("/v1/subscriptions?limit=2").json()
    a_subscription()

    assert walk(shop, first["next"]) == [created[1::-1]]


def test_a_page_holds_fifty_by_default(shop: Api) -> None:
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
        "cursor=AAAAAAAAAAAAAAAAAAAAAB",
        "cursor=" + "A" * 5_000,
    ],
)
def test_an_impossible_page_is_refused(shop: Api, query: str) -> None:
    response = shop.get(f"/v1/subscriptions?{query}")

    [fault] = response.json()["errors"]
    assert (response.status_code, fault["field"]) == (400, query.partition("=")[0])
