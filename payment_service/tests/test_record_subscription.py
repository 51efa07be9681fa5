from __future__ import annotations

from unittest.mock import ANY

import pytest
from admit_one.database import wake_up
from admit_one.messaging import wake
from admit_one.messaging.testing import published
from shared_contracts.events import UserSubscribed
from subscriptions import services
from subscriptions.models import Subscription

from tests.conftest import Api
from tests.factories import a_payload, a_subscription


def test_a_post_is_answered_with_the_pending_subscription(shop: Api) -> None:
    response = shop.post()

    assert response.status_code == 202
    assert response.json() == {
        **a_payload(),
        "id": ANY,
        "language": None,
        "order": None,
        "reference": None,
        "metadata": {},
        "status": "pending",
        "access_code": None,
        "access_code_failure": None,
        "problem": None,
        "emailed_at": None,
        "mail_failure": None,
        "resend": None,
        "reason": None,
        "valid_from": None,
        "valid_until": None,
        "expiring_soon_at": None,
        "uses": None,
        "uses_made": 0,
        "redeemed_at": None,
        "past_due_at": None,
        "suspended": False,
        "terms_applied": True,
        "created_at": ANY,
        "refunded_at": None,
        "updated_at": ANY,
        "cancelled_at": None,
        "code_revoked_at": None,
    }
    assert response["Location"] == f"/v1/subscriptions/{response.json()['id']}"
    assert shop.get(response["Location"]).json() == response.json()


def test_the_request_for_a_code_is_in_the_outbox_with_the_subscription(shop: Api) -> None:
    recorded = shop.post().json()

    [request] = published()
    subscription = Subscription.objects.get()
    assert request.data == UserSubscribed(
        **a_payload(), subscription_id=recorded["id"], occurred_at=recorded["created_at"]
    )
    assert (request.subject, request.correlationid, request.causationid) == (
        recorded["id"],
    ) * 2 + (None,)
    assert subscription.first_request_id == subscription.last_request_id == request.id


@pytest.mark.django_db(transaction=True)
def test_a_subscription_is_not_recorded_without_its_request(
    shop: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(services, "publish", crash)
    with pytest.raises(KeyboardInterrupt):
        shop.post(Idempotency_Key="k")
    monkeypatch.undo()

    assert Subscription.objects.count() == 0
    assert shop.post(Idempotency_Key="k").status_code == 202


def test_one_user_may_hold_several_subscriptions(shop: Api) -> None:
    shop.post()
    shop.post()

    assert Subscription.objects.filter(user_id="user-42").count() == len(published()) == 2


@pytest.mark.parametrize(
    ("given", "kept"), [(42, "42"), (0, "0"), ("ü-7", "ü-7"), ("x" * 64, "x" * 64)]
)
def test_a_user_id_is_visible_text_or_an_integer(shop: Api, given: object, kept: str) -> None:
    response = shop.post(a_payload(user_id=given))

    assert response.json()["user_id"] == kept


@pytest.mark.parametrize(
    ("amount", "currency"),
    [(0, "EUR"), (500, "JPY"), (12_345, "KWD"), (2**53 - 1, "USD"), (7, "VED"), (7, "CLF")],
)
def test_amounts_are_whole_minor_units_of_any_currency(
    shop: Api, amount: int, currency: str
) -> None:
    response = shop.post(a_payload(amount=amount, currency=currency))

    assert (response.json()["amount"], response.json()["currency"]) == (amount, currency)


@pytest.mark.parametrize(
    "address", ["Ada.L+x@Example.COM", "o'neil@example.co.uk", f"{'a' * 64}@example.com"]
)
def test_an_address_is_stored_unchanged(shop: Api, address: str) -> None:
    response = shop.post(a_payload(email=address))

    assert response.json()["email"] == address


@pytest.mark.django_db(transaction=True)
def test_a_failed_wake_up_does_not_affect_the_answer(
    shop: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(channel: str) -> None:
        raise OSError("no broker, no pipe, no disk")

    monkeypatch.setattr(wake_up, "notify", broken)
    monkeypatch.setattr(wake, "_requested", wake._Requested())
    response = shop.post()

    assert response.status_code == 202


def test_a_client_does_not_see_the_subscriptions_of_others(shop: Api, other_shop: Api) -> None:
    mine = shop.post()["Location"]

    assert other_shop.get(mine).status_code == 404
    assert other_shop.get("/v1/subscriptions").json()["results"] == []


@pytest.mark.parametrize(
    "malformed", ["5", "xyz", "%00", "{subscription}/", "URN:UUID:x", "a" * 999]
)
def test_a_malformed_id_is_not_found(shop: Api, malformed: str) -> None:
    path = malformed.format(subscription=a_subscription().id)
    response = shop.get(f"/v1/subscriptions/{path}")

    assert response.status_code == response.json()["status"] == 404
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.django_db
@pytest.mark.parametrize("test", [True, False])
def test_what_is_recorded_with_a_test_key_is_reported_as_a_test(test: bool) -> None:
    Api("tester", test=test).post()

    [request] = published()
    assert request.data.test is test
    assert (b'"test":true' in request.to_json()) is test
