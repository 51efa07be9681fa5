"""A client asks that a code be mailed again: requested until the student side answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from admit_one.contract.envelope import Envelope
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.testing import deliver, published
from admit_one.web.models import IdempotencyKey
from django.utils import timezone
from shared_contracts.events import (
    AccessCodeResendAnswered,
    AccessCodeResendRequested,
    AccessCodeRestored,
    AccessCodeRevoked,
    UserSubscribed,
)
from subscriptions import code_requests, lifecycle, resends, tasks
from subscriptions.models import ReconciliationRun, Subscription
from subscriptions.reconciliation import repairs

from tests.conftest import Api
from tests.factories import CODE, a_code_for, a_subscription

pytestmark = pytest.mark.django_db

NEW = "ada@example.org"
CORRECTED = {"email": NEW, "reason": "she mistyped it"}
MINUTE = timedelta(minutes=1)


def active() -> Subscription:
    subscription = a_subscription()
    deliver(a_code_for(subscription.id))
    return Subscription.objects.get()


def resend(shop: Api, subscription: Subscription, key: str = "", **body: Any) -> Any:
    return shop.http.post(
        f"/v1/subscriptions/{subscription.id}/resend",
        body,
        content_type="application/json",
        headers={"Idempotency-Key": key} if key else {},
    )


def requested() -> list[AccessCodeResendRequested]:
    return [m.data for m in published() if isinstance(m.data, AccessCodeResendRequested)]


def answer(version: int, refused: str | None = None) -> Any:
    row = Subscription.objects.get()
    event = AccessCodeResendAnswered(
        subscription_id=row.id, version=version, refused=refused, answered_at=timezone.now()
    )
    return deliver(Envelope.of(event))


def pass_time(by: timedelta) -> None:
    OutboxMessage.objects.update(published_at=timezone.now() - by)
    Subscription.objects.filter(resend_next_at__isnull=False).update(resend_next_at=timezone.now())


def test_it_is_requested_and_shown_until_it_is_answered(shop: Api) -> None:
    subscription = active()
    first = resend(shop, subscription)
    [request] = requested()
    answer(request.version)
    later = shop.get(f"/v1/subscriptions/{subscription.id}")

    assert (first.status_code, first["Retry-After"]) == (202, "1")
    assert (request.email, first.json()["email"]) == (None, "ada@example.com")
    shown = first.json()["resend"]
    assert (shown["answered_at"], shown["refused"]) == (None, None)
    assert later.json()["resend"]["answered_at"] >= shown["requested_at"]
    assert "Retry-After" not in later


def test_a_repetition_with_its_key_requests_it_once(shop: Api) -> None:
    subscription = active()
    first, again = (resend(shop, subscription, "ticket-7", **CORRECTED) for _ in range(2))

    assert first.json() == again.json()
    assert again["Idempotency-Replayed"] == "true"
    assert len(requested()) == 1


@pytest.mark.parametrize("key", ["", "ticket-7"])
def test_its_answer_has_no_whole_code_to_keep_or_to_repeat(shop: Api, key: str) -> None:
    subscription = active()
    first = resend(shop, subscription, key)
    writer = Api("shop", "subscriptions:write")
    again = resend(writer, subscription, key)

    codes = {answered.json()["access_code"] for answered in (first, again)}
    assert codes == {f"****-****-****-{CODE[-4:]}"}
    assert [CODE in row.body for row in IdempotencyKey.objects.all()] == [False] * bool(key)


def test_a_corrected_address_needs_a_reason(shop: Api) -> None:
    answered = resend(shop, active(), email=NEW)

    assert answered.status_code == 400
    assert [error["field"] for error in answered.json()["errors"]] == ["reason"]
    assert Subscription.objects.get().email == "ada@example.com"
    assert requested() == []


def test_a_corrected_address_is_that_of_the_subscription_and_of_later_requests(shop: Api) -> None:
    subscription = active()
    answered = resend(shop, subscription, **CORRECTED)
    resend(shop, subscription)

    assert (answered.json()["email"], answered.json()["reason"]) == (NEW, "she mistyped it")
    assert [event.email for event in requested()] == [NEW, NEW]
    assert requested()[0].version < requested()[1].version


def test_what_is_requested_or_restored_afterwards_has_the_corrected_address(shop: Api) -> None:
    subscription = a_subscription()
    resend(shop, subscription, **CORRECTED)
    pass_time(20 * MINUTE)
    Subscription.objects.update(next_request_at=timezone.now())
    code_requests.request_again()
    deliver(a_code_for(subscription.id))
    now = timezone.now()
    run = ReconciliationRun.objects.create(since=now, until=now, repair=True)
    restored = list(repairs._restore(run, [subscription.id]))

    again = [m.data for m in published() if isinstance(m.data, UserSubscribed)]
    assert [event.email for event in again] == ["ada@example.com", NEW]
    assert [type(event) for event in restored] == [AccessCodeRestored]
    assert [event.email for event in restored] == [NEW]


@pytest.mark.parametrize("ending", [lifecycle.cancel, lifecycle.refund])
def test_what_has_ended_is_not_mailed_again(shop: Api, ending: Any) -> None:
    subscription = active()
    ending(client="shop", subscription_id=subscription.id)
    answered = resend(shop, subscription)

    assert (answered.status_code, answered.json()["code"]) == (409, "conflict")
    assert requested() == []


def test_a_code_that_an_operator_revoked_is_not_mailed_again(shop: Api) -> None:
    subscription = active()
    revoked = AccessCodeRevoked(subscription_id=subscription.id, revoked_at=timezone.now())
    deliver(Envelope.of(revoked))

    assert resend(shop, subscription).status_code == 409


def test_others_subscriptions_are_not_found(shop: Api, other_shop: Api) -> None:
    assert resend(other_shop, active()).status_code == 404
    assert requested() == []


def test_a_request_without_an_answer_is_repeated_with_growing_pauses(shop: Api) -> None:
    resend(shop, active(), **CORRECTED)
    repeated = []
    for waited in (14 * MINUTE, 16 * MINUTE, 16 * MINUTE, 61 * MINUTE):
        pass_time(waited)
        tasks.resend_again()
        repeated.append(len(requested()))

    assert repeated == [1, 2, 2, 3]
    assert len({request.model_dump_json() for request in requested()}) == 1


def test_a_request_in_the_outbox_is_not_repeated(shop: Api) -> None:
    resend(shop, active())
    Subscription.objects.update(resend_next_at=timezone.now())
    resends.request_again()

    assert len(requested()) == 1


def test_an_answer_to_an_earlier_request_leaves_the_latest_waiting(shop: Api) -> None:
    subscription = active()
    resend(shop, subscription)
    resend(shop, subscription, **CORRECTED)
    first, second = requested()
    answer(first.version)
    waits = Subscription.objects.get().resend_next_at is not None
    between = shop.get(f"/v1/subscriptions/{subscription.id}").json()["resend"]
    answer(second.version, "mailed too often")
    answer(first.version)
    shown = shop.get(f"/v1/subscriptions/{subscription.id}").json()["resend"]

    assert (waits, between["answered_at"], between["refused"]) == (True, None, None)
    assert shown["refused"] == "mailed too often"
    assert Subscription.objects.get().resend_next_at is None


def test_a_cancellation_ends_the_wait(shop: Api) -> None:
    subscription = active()
    resend(shop, subscription)
    lifecycle.cancel(client="shop", subscription_id=subscription.id)
    pass_time(20 * MINUTE)
    tasks.resend_again()

    assert len(requested()) == 1


def test_no_address_of_a_refusal_is_shown(shop: Api) -> None:
    subscription = active()
    resend(shop, subscription)
    answer(requested()[0].version, "no mailbox ada@example.com")

    shown = shop.get(f"/v1/subscriptions/{subscription.id}").json()["resend"]
    assert "ada@example.com" not in shown["refused"]
