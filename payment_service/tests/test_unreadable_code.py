"""A code that cannot be unsealed costs one field of one subscription, and no more."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from admit_one.messaging.testing import deliver, published
from admit_one.sealing import cipher
from subscriptions import metrics, views
from subscriptions.models import Subscription

from tests.conftest import Api
from tests.factories import CODE, a_code_for, a_payload, a_subscription

UNREADABLE = {
    "lost key": b"\x04lost" + b"x" * 40,
    "changed": b"\x04test" + b"x" * 40,
    "cut off": b"\x04test",
    "empty": b"",
    "for another column": cipher.seal(CODE.encode(), "outbox", "1"),
}


@pytest.fixture(params=UNREADABLE)
def unreadable(request: pytest.FixtureRequest, db: None) -> Subscription:
    subscription = a_subscription()
    deliver(a_code_for(subscription.id))
    Subscription.objects.filter(id=subscription.id).update(access_code=UNREADABLE[request.param])
    return subscription


def assert_says_why(shown: dict[str, Any], status: str) -> None:
    assert (shown["status"], shown["access_code"]) == (status, None)
    assert "cannot be decrypted" in shown["access_code_failure"]["reason"]


def counted() -> float:
    [family] = metrics.UNREADABLE_CODES.collect()
    return family.samples[0].value


def test_it_is_null_with_a_reason_counted_and_logged(
    shop: Api, unreadable: Subscription, caplog: pytest.LogCaptureFixture
) -> None:
    before = counted()
    with caplog.at_level(logging.ERROR):
        answer = shop.get(f"/v1/subscriptions/{unreadable.id}")

    assert answer.status_code == 200
    assert_says_why(answer.json(), "active")
    assert counted() == before + 1
    assert str(unreadable.id) in caplog.text
    assert [record.event for record in caplog.records] == ["code_does_not_open"]  # type: ignore[attr-defined]


def test_the_others_on_its_page_are_shown(
    shop: Api, unreadable: Subscription, caplog: pytest.LogCaptureFixture
) -> None:
    readable = a_subscription()
    deliver(a_code_for(readable.id))
    with caplog.at_level(logging.ERROR):
        first, second = shop.get("/v1/subscriptions").json()["results"]

    assert (first["id"], first["access_code"]) == (str(readable.id), "****-****-****-H5RN")
    assert first["access_code_failure"] is None
    assert_says_why(second, "active")
    assert len(caplog.records) == 1


def test_it_can_be_cancelled(shop: Api, unreadable: Subscription) -> None:
    path = f"/v1/subscriptions/{unreadable.id}"
    answer = shop.http.generic("POST", f"{path}/cancel", b"", "")

    assert answer.status_code == 202
    assert_says_why(answer.json(), "cancelled")
    assert shop.get(path).json() == answer.json()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("once", [{}, {"Idempotency_Key": "k"}])
def test_what_cannot_be_answered_was_not_done(
    shop: Api, monkeypatch: pytest.MonkeyPatch, once: dict[str, Any]
) -> None:
    """Whatever goes wrong with an answer, the client may repeat its request."""

    def fail(_: Subscription) -> None:
        raise RuntimeError

    subscription = a_subscription()
    before = len(published())
    shop.http.raise_request_exception = False
    with monkeypatch.context() as its:
        its.setattr(views, "shown", fail)
        answers = [
            shop.post(a_payload(user_id="another"), **once),
            shop.http.generic("POST", f"/v1/subscriptions/{subscription.id}/cancel", b"", ""),
        ]

    assert [answer.status_code for answer in answers] == [500, 500]
    assert [row.status for row in Subscription.objects.all()] == ["pending"]
    assert len(published()) == before
