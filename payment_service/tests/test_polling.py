"""A client that polls gets what it has not yet, and learns when to come back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from admit_one.messaging.testing import an_envelope, deliver
from django.utils import timezone
from shared_contracts.events import AccessCodeRevoked
from subscriptions.models import Subscription

from tests.conftest import Api
from tests.factories import a_code_for, a_subscription
from tools.system.web_process import WebProcess, running

LIST = "/v1/subscriptions"


def one(subscription: Subscription) -> str:
    return f"{LIST}/{subscription.id}"


def again(shop: Api, path: str, tag: str, method: str = "GET") -> Any:
    return shop.http.generic(method, path, headers={"If-None-Match": tag})


@pytest.mark.parametrize("of", ["one", "list"])
def test_what_the_client_has_is_not_sent_again_until_it_changes(shop: Api, of: str) -> None:
    subscription = a_subscription()
    path = one(subscription) if of == "one" else LIST
    first = shop.get(path)
    same = again(shop, path, first["ETag"])
    deliver(a_code_for(subscription.id))
    changed = again(shop, path, first["ETag"])

    assert (same.status_code, same.content, same["ETag"]) == (304, b"", first["ETag"])
    assert same["Cache-Control"] == "no-store"
    assert not {"Content-Type", "Content-Length"} & set(same.headers)
    assert changed.status_code == 200
    assert changed["ETag"] != first["ETag"]


@pytest.mark.parametrize(
    ("written", "status"),
    [
        ("{tag}", 304),
        ("W/{tag}", 304),
        ('"{bare}-gzip"', 304),
        ('W/"{bare}-br"', 304),
        ('"{bare}-other"', 200),
        ('"other", {tag}', 304),
        ('"a, b" , W/"c",{tag}', 304),
        ("*", 304),
        ('"other"', 200),
        ("{bare}", 200),
        ("", 200),
        ('"', 200),
        ("W/*", 200),
        (",,," * 2_000, 200),
    ],
)
def test_any_list_of_tags_is_read(shop: Api, written: str, status: int) -> None:
    path = one(a_subscription())
    tag = shop.get(path)["ETag"]

    header = written.format(tag=tag, bare=tag.strip('"'))
    answers = [again(shop, path, header, method).status_code for method in ("GET", "HEAD")]

    assert answers == [status, status]


def test_a_tag_of_one_client_says_nothing_to_another(shop: Api, other_shop: Api) -> None:
    path = one(a_subscription())
    tag = shop.get(path)["ETag"]

    assert [again(other_shop, path, tag).status_code, again(other_shop, path, "*").status_code] == [
        404,
        404,
    ]


def test_two_lists_with_the_same_rows_and_another_next_page_differ(shop: Api) -> None:
    for _ in range(2):
        a_subscription()

    one_of_two = shop.get(f"{LIST}?limit=1")
    Subscription.objects.order_by("id")[:1].get().delete()

    assert again(shop, f"{LIST}?limit=1", one_of_two["ETag"]).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_304_has_no_body_and_no_length_on_the_wire(shop: Api) -> None:
    path = one(a_subscription())
    with running() as web:
        authorization = f"Authorization: Bearer {shop.key}"
        tag = web.get(path, authorization).headers["ETag"]
        answer = web.get(path, authorization, f"If-None-Match: {tag}")
        kept = _two_on_one_connection(web, path, authorization, f"If-None-Match: {tag}")

    assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", tag)
    assert answer.headers["Content-Length"] is None
    assert kept == [304, 304]


def _two_on_one_connection(web: WebProcess, path: str, *headers: str) -> list[int]:
    lines = [f"GET {path} HTTP/1.1", "Host: testserver", *headers]
    client = web.client().send(("\r\n".join(lines) + "\r\n\r\n").encode() * 2)
    return [client.answer(to_head=True).status for _ in range(2)]


# Retry-After


def waited(subscription: Subscription, seconds: float) -> Subscription:
    """The subscription, recorded or cancelled so long ago."""
    at = timezone.now() - timedelta(seconds=seconds)
    field = "created_at" if subscription.cancelled_at is None else "cancelled_at"
    Subscription.objects.filter(pk=subscription.pk).update(**{field: at})
    return subscription


def test_a_recorded_subscription_says_when_its_code_is_there(shop: Api) -> None:
    answers = [shop.post(Idempotency_Key="k") for _ in range(2)]

    assert [answer["Retry-After"] for answer in answers] == ["1", "1"]


@pytest.mark.parametrize(
    ("seconds", "pause"), [(0, "1"), (19.9, "1"), (35, "3"), (86_400, "60"), (-100, "1")]
)
def test_who_waits_long_polls_rarely(shop: Api, seconds: float, pause: str) -> None:
    subscription = waited(a_subscription(), seconds)
    first = shop.get(one(subscription))
    same = again(shop, one(subscription), first["ETag"])

    assert (first["Retry-After"], same["Retry-After"]) == (pause, pause)


def test_an_active_subscription_has_nothing_to_wait_for(shop: Api) -> None:
    subscription = a_subscription()
    deliver(a_code_for(subscription.id))

    assert "Retry-After" not in shop.get(one(subscription))


def test_a_cancelled_subscription_waits_for_its_revocation(shop: Api) -> None:
    subscription = a_subscription()
    answer = shop.http.generic("POST", f"{one(subscription)}/cancel")
    pending = shop.get(one(subscription))
    deliver(
        an_envelope(AccessCodeRevoked, subscription_id=subscription.id, revoked_at=timezone.now())
    )
    confirmed = shop.http.generic("POST", f"{one(subscription)}/cancel")

    assert (answer["Retry-After"], pending["Retry-After"]) == ("1", "1")
    assert (confirmed.status_code, "Retry-After" in confirmed) == (202, False)
