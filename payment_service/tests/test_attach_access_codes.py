from __future__ import annotations

import logging

import pytest
from admit_one.messaging.inbox import Outcome
from admit_one.messaging.testing import deliver
from subscriptions.models import Subscription
from uuid_utils.compat import uuid7

from tests.conftest import Api
from tests.factories import CODE, OTHER_CODE, a_code_for, a_subscription

pytestmark = pytest.mark.django_db


def reasons(outcomes: list[Outcome]) -> list[str]:
    return [str(outcome.error or "") for outcome in outcomes]


def test_the_code_is_shown_once_it_arrives(shop: Api) -> None:
    location = shop.post()["Location"]
    subscription = Subscription.objects.get()
    outcomes = deliver(a_code_for(subscription.id))

    shown = shop.get(location).json()
    assert (shown["status"], shown["access_code"]) == ("active", CODE)
    assert shop.get("/v1/subscriptions").json()["results"] == [
        {**shown, "access_code": "****-****-****-H5RN"}
    ]
    assert reasons(outcomes) == [""]


def test_the_code_is_stored_sealed() -> None:
    subscription = a_subscription()
    deliver(a_code_for(subscription.id))

    subscription.refresh_from_db()
    assert subscription.access_code is not None
    assert CODE.encode() not in bytes(subscription.access_code)


def test_the_same_code_again_changes_nothing() -> None:
    subscription = a_subscription()
    message = a_code_for(subscription.id)
    deliver(message)
    stored = Subscription.objects.get().access_code
    outcomes = deliver(message, a_code_for(subscription.id), a_code_for(subscription.id))

    assert reasons(outcomes) == ["", "", ""]
    assert Subscription.objects.get().access_code == stored


@pytest.mark.parametrize("together", [True, False])
def test_a_second_code_is_rejected_and_the_first_is_kept(
    together: bool, caplog: pytest.LogCaptureFixture
) -> None:
    subscription = a_subscription()
    first, second = a_code_for(subscription.id), a_code_for(subscription.id, OTHER_CODE)
    with caplog.at_level(logging.WARNING, "subscriptions"):
        outcomes = deliver(first, second) if together else deliver(first) + deliver(second)

    subscription.refresh_from_db()
    assert subscription.code == CODE
    assert reasons(outcomes) == [
        "",
        f"a second code arrived for subscription {subscription.id}; the first is kept",
    ]
    assert str(subscription.id) in caplog.text
    assert not any(code in caplog.text for code in (CODE, OTHER_CODE, "ada@"))


def test_a_code_for_an_unknown_subscription_is_rejected_and_the_others_are_stored() -> None:
    known, unknown = a_subscription(), uuid7()
    outcomes = deliver(a_code_for(unknown), a_code_for(known.id))

    known.refresh_from_db()
    assert reasons(outcomes) == [f"there is no subscription {unknown}", ""]
    assert known.code == CODE


def test_five_hundred_codes_take_one_update(django_assert_max_num_queries: object) -> None:
    subscriptions = [a_subscription() for _ in range(500)]
    messages = [a_code_for(subscription.id) for subscription in subscriptions]
    with django_assert_max_num_queries(8):  # type: ignore[operator]
        outcomes = deliver(*messages)

    assert set(reasons(outcomes)) == {""}
    assert {row.code for row in Subscription.objects.all()} == {CODE}
