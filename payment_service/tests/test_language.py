"""The language of a user's mails is stored, sent and shown, and refuses nobody who has paid."""

from __future__ import annotations

import json

import pytest
from admit_one.messaging.testing import an_envelope, published
from shared_contracts.events import UserSubscribed
from subscriptions.models import Subscription

from tests.conftest import Api
from tests.factories import a_payload
from tests.orders.api import post

pytestmark = pytest.mark.django_db


def requested() -> list[str | None]:
    return [request.data.language for request in published()]


def test_the_language_is_stored_sent_and_shown(shop: Api) -> None:
    answer = shop.post(a_payload(language="de-AT"))

    assert (answer.status_code, answer.json()["language"]) == (202, "de-AT")
    assert shop.get(answer["Location"]).json()["language"] == "de-AT"
    assert Subscription.objects.get().language == "de-AT"
    assert requested() == ["de-AT"]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("de", "de"),
        ("DE_at", "de-AT"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("tlh", "tlh"),
        *((text, None) for text in ("", "d", "Deutsch", "de,en;q=0.5", "x" * 500, "💩")),
        (None, None),
    ],
)
def test_no_language_refuses_a_paid_subscription(
    shop: Api, written: str | None, kept: str | None
) -> None:
    answer = shop.post(a_payload(language=written))

    assert (answer.status_code, answer.json()["language"]) == (202, kept)
    assert requested() == [kept]


def test_a_language_that_is_no_text_is_refused_as_any_wrong_type(shop: Api) -> None:
    answer = shop.post(a_payload(language=["de"]))

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "language"


def test_each_seat_of_an_order_has_its_own_language(shop: Api) -> None:
    post(shop, subscriptions=[a_payload(language="de"), a_payload(language="fr"), a_payload()])

    assert set(requested()) == {"de", "fr", None}


def test_a_request_without_a_language_is_as_before(shop: Api) -> None:
    shop.post()

    [request] = published()
    assert "language" not in json.loads(request.to_json())["data"]


@pytest.mark.parametrize(
    ("written", "read"), [("de_AT", "de-AT"), ("x" * 40, None), ("", None), (None, None)]
)
def test_an_event_with_any_language_can_be_read(written: str | None, read: str | None) -> None:
    event = an_envelope(UserSubscribed, language=written).data

    assert event.language == read
