"""A subscription is renewed, past due, suspended, refunded: idempotently, and until confirmed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from admit_one.contract import Event
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.testing import an_envelope, deliver, published
from django.db import transaction
from django.utils import timezone
from shared_contracts.events import (
    AccessTermsApplied,
    AccessTermsChanged,
    SubscriptionCancelled,
    UserSubscribed,
)
from subscriptions import code_requests, lifecycle, tasks
from subscriptions.models import Subscription

from tests.conftest import Api
from tests.factories import a_code_for, a_payload, a_subscription

pytestmark = pytest.mark.django_db

UNTIL = datetime(2030, 1, 1, tzinfo=UTC)
LATER = UNTIL + timedelta(days=365)


def active(**changes: Any) -> Subscription:
    subscription = a_subscription(**changes)
    deliver(a_code_for(subscription.id))
    return fresh(subscription)


def fresh(subscription: Subscription) -> Subscription:
    return Subscription.objects.get(pk=subscription.pk)


def change(shop: Api, subscription: Subscription, name: str, **body: Any) -> Any:
    path = f"/v1/subscriptions/{subscription.id}/{name}"
    return shop.http.post(path, body, content_type="application/json")


def of_type(event_class: type[Event]) -> list[Any]:
    return [message.data for message in published() if isinstance(message.data, event_class)]


def test_terms_are_reported_with_the_request_for_the_code(shop: Api) -> None:
    body = a_payload(valid_until="2030-01-01T00:00:00Z", uses=3)
    answer = shop.http.post("/v1/subscriptions", body, content_type="application/json")

    assert answer.status_code == 202
    assert (answer.json()["valid_until"], answer.json()["uses"]) == ("2030-01-01T00:00:00Z", 3)
    [request] = of_type(UserSubscribed)
    assert (request.valid_until, request.uses, request.suspended) == (UNTIL, 3, False)
    assert request.version == Subscription.objects.get().terms_version > 0


def test_without_terms_none_are_reported() -> None:
    a_subscription()

    [request] = of_type(UserSubscribed)
    assert request.version == 0


def test_a_renewal_is_requested_until_the_student_side_confirms_it(shop: Api) -> None:
    subscription = active(valid_until=UNTIL)
    deliver(
        an_envelope(
            AccessTermsApplied, subscription_id=subscription.id, version=subscription.terms_version
        )
    )
    answer = change(shop, subscription, "renew", valid_until="2031-01-01T00:00:00Z")
    OutboxMessage.objects.update(published_at=timezone.now() - timedelta(hours=1))
    Subscription.objects.update(next_request_at=timezone.now())
    code_requests.request_again()

    assert (answer.status_code, answer.json()["terms_applied"]) == (202, False)
    first, again = of_type(AccessTermsChanged)
    assert (first.valid_until, first) == (LATER, again)

    deliver(an_envelope(AccessTermsApplied, subscription_id=subscription.id, version=first.version))
    Subscription.objects.update(next_request_at=timezone.now())
    assert code_requests.request_again() == 0
    assert shop.get(f"/v1/subscriptions/{subscription.id}").json()["terms_applied"] is True


def test_an_expired_subscription_is_revived_by_a_renewal(shop: Api) -> None:
    subscription = active(valid_until=timezone.now() - timedelta(days=1))
    before = subscription.status
    change(shop, subscription, "renew", valid_until="2031-01-01T00:00:00Z")

    assert (before, fresh(subscription).status) == ("expired", "active")


def test_past_due_suspends_after_the_days_of_grace_and_a_renewal_lifts_it(shop: Api) -> None:
    subscription = active()
    answer = change(shop, subscription, "past-due", reason="card declined")
    tasks.suspend_overdue()
    within = fresh(subscription)
    Subscription.objects.update(past_due_at=timezone.now() - timedelta(days=7))
    tasks.suspend_overdue()
    after = fresh(subscription)
    change(shop, subscription, "renew", valid_until=None)

    assert (answer.json()["status"], answer.json()["reason"]) == ("past_due", "card declined")
    assert (within.suspended_at, within.status) == (None, "past_due")
    assert after.suspended_at is not None
    assert fresh(subscription).status == "active"
    suspended, lifted = of_type(AccessTermsChanged)
    assert (suspended.suspended, lifted.suspended) == (True, False)
    assert suspended.version < lifted.version


@pytest.mark.parametrize("name", ["cancel", "refund"])
def test_what_ends_a_subscription_is_for_good(shop: Api, name: str) -> None:
    subscription = active()
    answers = [change(shop, subscription, name, reason="she asked") for _ in range(2)]

    assert {answer.json()["status"] for answer in answers} == {
        {"cancel": "cancelled", "refund": "refunded"}[name]
    }
    assert answers[0].json() == answers[1].json()
    assert len(of_type(SubscriptionCancelled)) == 1
    for later, body in (("renew", {"valid_until": None}), ("past-due", {})):
        refused = change(shop, subscription, later, **body)
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


def test_a_cancelled_subscription_may_be_refunded_without_a_second_request(shop: Api) -> None:
    subscription = active()
    change(shop, subscription, "cancel")
    answer = change(shop, subscription, "refund", reason="goodwill")

    assert (answer.json()["status"], answer.json()["reason"]) == ("refunded", "goodwill")
    assert len(of_type(SubscriptionCancelled)) == 1


@pytest.mark.parametrize(
    ("paid_until", "renewed_until", "expected"),
    [
        (LATER, "2030-01-01T00:00:00Z", "expected a later valid_until"),
        (UNTIL, None, "expected valid_until to be a time"),
        (None, "2030-01-01T00:00:00Z", "expected valid_until to be null"),
    ],
)
def test_a_renewal_that_makes_no_sense_is_refused(
    shop: Api, paid_until: datetime | None, renewed_until: str | None, expected: str
) -> None:
    subscription = active(valid_until=paid_until)
    answer = change(shop, subscription, "renew", valid_until=renewed_until)

    assert answer.status_code == 409
    assert expected in answer.json()["detail"]


def test_the_same_renewal_again_reports_nothing(shop: Api) -> None:
    subscription = active(valid_until=UNTIL)
    for _ in range(2):
        change(shop, subscription, "renew", valid_until="2031-01-01T00:00:00Z")

    assert len(of_type(AccessTermsChanged)) == 1


def test_terms_that_change_before_the_code_arrives_are_in_the_next_request(shop: Api) -> None:
    subscription = a_subscription(valid_until=UNTIL)
    change(shop, subscription, "renew", valid_until="2031-01-01T00:00:00Z")

    assert [request.valid_until for request in of_type(UserSubscribed)] == [UNTIL, LATER]
    assert of_type(AccessTermsChanged) == []


def test_a_version_is_never_lower_than_the_clock() -> None:
    subscription = active(valid_until=UNTIL)
    lost = subscription.terms_version
    Subscription.objects.update(terms_version=1)  # an older backup was restored
    lifecycle.renew(client="shop", subscription_id=subscription.id, valid_until=LATER)

    assert fresh(subscription).terms_version > lost


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("valid_until", "tomorrow"),
        ("valid_until", 1_767_225_600),
        ("valid_until", "2025-01-01T00:00:00"),
        ("uses", 0),
        ("uses", 1_000_001),
        ("uses", "3"),
    ],
)
def test_wrong_terms_are_refused_by_name(shop: Api, field: str, value: object) -> None:
    answer = shop.http.post(
        "/v1/subscriptions", a_payload(**{field: value}), content_type="application/json"
    )

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_an_end_before_the_beginning_is_refused(shop: Api) -> None:
    window = {"valid_from": "2030-01-01T00:00:00Z", "valid_until": "2029-01-01T00:00:00Z"}
    answer = shop.http.post(
        "/v1/subscriptions", a_payload(**window), content_type="application/json"
    )

    assert answer.json()["detail"] == "valid_until: expected a time after valid_from"


def test_another_clients_subscription_cannot_be_changed(other_shop: Api) -> None:
    subscription = active()
    bodies: dict[str, dict[str, Any]] = {"renew": {"valid_until": None}}
    for name in ("cancel", "refund", "past-due", "renew"):
        assert change(other_shop, subscription, name, **bodies.get(name, {})).status_code == 404


def test_whoever_reports_the_first_end_may_set_it_and_no_earlier_one() -> None:
    subscription = active()
    renewal: dict[str, Any] = {"client": "shop", "subscription_id": subscription.id}
    with pytest.raises(lifecycle.NotPossible, match="has no end"), transaction.atomic():
        lifecycle.renew(**renewal, valid_until=UNTIL)
    lifecycle.renew(**renewal, valid_until=LATER, may_set_end=True)
    with pytest.raises(lifecycle.NotPossible, match="until later"), transaction.atomic():
        lifecycle.renew(**renewal, valid_until=UNTIL, may_set_end=True)

    assert fresh(subscription).valid_until == LATER
