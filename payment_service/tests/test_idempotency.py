from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from admit_one.messaging.testing import deliver, published
from admit_one.tasks import schedule
from admit_one.web.models import IdempotencyKey
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from subscriptions.models import Subscription

from tests.conftest import Api
from tests.factories import a_code_for, a_payload


def test_a_repeated_post_is_answered_with_the_first_result_and_creates_nothing(shop: Api) -> None:
    first = shop.post(Idempotency_Key="k")
    deliver(a_code_for(first.json()["id"]))
    again = shop.post(Idempotency_Key="k")

    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again["Location"] == first["Location"]
    assert ("Idempotency-Replayed" in first, again["Idempotency-Replayed"]) == (False, "true")
    assert Subscription.objects.count() == len(published()) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("more", [{}, {"metadata": {"a": "1", "b": "2"}}], ids=["plain", "notes"])
def test_the_repeated_answer_is_the_first_word_for_word(more: dict[str, object]) -> None:
    shop = Api("shop")
    first = shop.post(a_payload(**more), Idempotency_Key="k")
    again = shop.post(a_payload(**more), Idempotency_Key="k")

    shown = shop.get(first["Location"]).json()
    assert (first.content, first["Location"]) == (again.content, again["Location"])
    assert first.json() == shown
    assert Subscription.objects.count() == len(published()) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no such statements")
def test_a_key_is_kept_by_the_statement_that_records_the_payment() -> None:
    shop = Api("shop")
    shop.post(a_payload(user_id="warm-up"))  # looks the API key up
    with CaptureQueriesContext(connection) as captured:
        shop.post(Idempotency_Key="k")

    # Django notes a BEGIN that is not sent; the wake-up names no table.
    texts = [query["sql"] for query in captured]
    [statement] = [text for text in texts if " INTO " in text]
    assert len([text for text in texts if "web_" in text]) == 1
    assert all(model._meta.db_table in statement for model in (IdempotencyKey, Subscription))


def test_a_body_with_fields_in_another_order_is_the_same_request(shop: Api) -> None:
    first = shop.post(Idempotency_Key="k")
    again = shop.post(dict(reversed(a_payload().items())), Idempotency_Key="k")

    assert again["Location"] == first["Location"]


@pytest.mark.parametrize("changes", [{"amount": 4901}, {"user_id": 42}, {"plan": "Gold"}])
def test_another_body_under_the_same_key_is_refused(shop: Api, changes: dict[str, object]) -> None:
    shop.post(Idempotency_Key="k")
    response = shop.post(a_payload(**changes), Idempotency_Key="k")

    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")
    assert Subscription.objects.count() == 1


def test_a_key_belongs_to_the_client_that_sent_it(shop: Api, other_shop: Api) -> None:
    first = shop.post(Idempotency_Key="k")
    others = other_shop.post(Idempotency_Key="k")

    assert others["Location"] != first["Location"]
    assert Subscription.objects.count() == 2


def test_idempotency_keys_belong_to_the_client_not_to_its_api_key(shop: Api) -> None:
    first = shop.post(Idempotency_Key="k")
    again = Api("shop").post(Idempotency_Key="k")

    assert again["Location"] == first["Location"]


def test_a_refused_request_does_not_use_up_its_key(shop: Api) -> None:
    shop.post(a_payload(amount=-1), Idempotency_Key="k")
    response = shop.post(Idempotency_Key="k")

    assert response.status_code == 202


@pytest.mark.parametrize("key", ["!", "~" * 255, "a-UUID:or,anything"])
def test_a_key_is_any_visible_ascii(shop: Api, key: str) -> None:
    response = shop.post(Idempotency_Key=key)

    assert response.status_code == 202


@pytest.mark.django_db(transaction=True)
def test_a_hundred_equal_posts_at_once_make_one_subscription() -> None:
    shop = Api("shop")
    together = Barrier(20)

    def post(_: int) -> tuple[int, str, bool]:
        together.wait(timeout=30)
        try:
            response = shop.post(Idempotency_Key="k")
        finally:
            connections.close_all()
        return response.status_code, response["Location"], "Idempotency-Replayed" in response

    shop.post(a_payload(user_id="warm-up"))  # initialises what all threads share
    with ThreadPoolExecutor(together.parties) as threads:
        answers = list(threads.map(post, range(5 * together.parties)))

    assert {(status, location) for status, location, _ in answers} == {(202, answers[0][1])}
    assert [replayed for *_, replayed in answers].count(False) == 1
    assert Subscription.objects.filter(user_id="user-42").count() == 1
    assert len(published()) == 2


def test_keys_are_deleted_after_thirty_days(shop: Api) -> None:
    shop.post(Idempotency_Key="old")
    shop.post(Idempotency_Key="new")
    IdempotencyKey.objects.filter(key="old").update(created_at=timezone.now() - timedelta(days=31))
    schedule.prune()

    assert [row.key for row in IdempotencyKey.objects.all()] == ["new"]


def test_a_worker_whose_clock_is_ahead_deletes_no_key(
    shop: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a repeated request would create a second subscription."""
    ahead = timezone.now() + timedelta(days=31)
    first = shop.post(Idempotency_Key="k")
    with monkeypatch.context() as its:
        its.setattr(timezone, "now", lambda: ahead)
        schedule.prune()
    again = shop.post(Idempotency_Key="k")

    assert again["Location"] == first["Location"]
