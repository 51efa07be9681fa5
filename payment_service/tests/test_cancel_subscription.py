"""Cancelling is permanent, and the revocation is requested until it is confirmed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from admit_one.contract.envelope import Envelope
from admit_one.messaging.inbox import Result
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.testing import an_envelope, deliver, published
from admit_one.messaging.why import timeline
from django.utils import timezone
from shared_contracts.events import AccessCodeRevoked, SubscriptionCancelled, UserSubscribed
from subscriptions import code_requests, lifecycle, metrics
from subscriptions.models import Subscription

from tests.conftest import Api
from tests.factories import CODE, a_code_for, a_subscription

pytestmark = pytest.mark.django_db


def cancel(shop: Api, subscription: Subscription | str, body: bytes = b"") -> Any:
    which = subscription.id if isinstance(subscription, Subscription) else subscription
    path = f"/v1/subscriptions/{which}/cancel"
    return shop.http.generic("POST", path, body, "application/json" if body else "")


def cancelled(**changes: Any) -> Subscription:
    """A cancelled subscription whose events are published."""
    subscription = a_subscription(**changes)
    lifecycle.cancel(client="shop", subscription_id=subscription.id)
    publish_all()
    subscription.refresh_from_db()
    return subscription


def publish_all() -> None:
    OutboxMessage.objects.filter(published_at__isnull=True).update(published_at=timezone.now())


def revoked(subscription_id: UUID) -> Envelope[AccessCodeRevoked]:
    """The student service's reply."""
    at = datetime(2026, 2, 2, 3, 4, 6, tzinfo=UTC)
    return an_envelope(AccessCodeRevoked, subscription_id=subscription_id, revoked_at=at)


def cancellations() -> list[Envelope[SubscriptionCancelled]]:
    return [m for m in published() if isinstance(m.data, SubscriptionCancelled)]


def test_a_cancellation_is_shown_and_published(shop: Api) -> None:
    subscription = a_subscription()
    deliver(a_code_for(subscription.id))
    answer = cancel(shop, subscription)

    shown = shop.get(f"/v1/subscriptions/{subscription.id}").json()
    row = Subscription.objects.get()
    [cancellation] = cancellations()
    assert answer.status_code == 202
    assert answer.json() == shown
    assert (shown["status"], shown["access_code"]) == ("cancelled", CODE)
    assert shown["cancelled_at"] is not None
    assert cancellation.data.cancelled_at == row.cancelled_at
    assert (cancellation.subject, cancellation.causationid) == (
        str(subscription.id),
        row.first_request_id,
    )
    assert answer["Cache-Control"] == "no-store"


def test_cancelling_again_changes_nothing(shop: Api) -> None:
    subscription = a_subscription()
    first = cancel(shop, subscription)
    again = cancel(shop, subscription, b"{}")

    assert (again.status_code, again.json()) == (202, first.json())
    assert len(cancellations()) == 1


@pytest.mark.parametrize("missing", ["nonsense", "019b7c5e-29f8-7b52-8a41-0c9d3e7f2a10"])
def test_an_unknown_subscription_is_not_found(shop: Api, missing: str) -> None:
    assert cancel(shop, missing).status_code == 404


def test_another_clients_subscription_is_not_found(shop: Api, other_shop: Api) -> None:
    subscription = a_subscription()

    assert cancel(other_shop, subscription).status_code == 404
    assert Subscription.objects.get().status == "pending"
    assert cancellations() == []


@pytest.mark.parametrize("body", [b'{"at": "2027-01-01T00:00:00Z"}', b"null", b"[]", b"0"])
def test_a_body_with_anything_but_a_reason_is_refused(shop: Api, body: bytes) -> None:
    subscription = a_subscription()
    answer = cancel(shop, subscription, body)

    assert answer.status_code == 400
    assert "expected" in answer.json()["detail"]
    assert Subscription.objects.get().status == "pending"


def test_cancelling_requires_a_key(client: Any) -> None:
    subscription = a_subscription()

    assert client.post(f"/v1/subscriptions/{subscription.id}/cancel").status_code == 401
    assert Subscription.objects.get().status == "pending"


def test_a_revocation_is_requested_until_it_is_confirmed() -> None:
    subscription = cancelled()
    published_by_then = []
    for _ in range(3):
        Subscription.objects.update(next_request_at=timezone.now() - timedelta(days=2))
        OutboxMessage.objects.update(published_at=timezone.now() - timedelta(days=2))
        code_requests.request_again()
        published_by_then.append(len(cancellations()))
    deliver(revoked(subscription.id))
    Subscription.objects.update(next_request_at=timezone.now() - timedelta(days=2))
    code_requests.request_again()

    assert published_by_then == [2, 3, 4]
    assert len(cancellations()) == 4
    assert len([m for m in published() if isinstance(m.data, UserSubscribed)]) == 1
    assert len({m.id for m in cancellations()}) == 4
    assert len({m.data for m in cancellations()}) == 1


def test_nothing_is_requested_once_the_revocation_is_confirmed() -> None:
    subscription = cancelled()
    deliver(revoked(subscription.id))
    Subscription.objects.update(next_request_at=timezone.now() - timedelta(days=2))

    assert code_requests.request_again() == 0


def test_a_code_that_arrives_after_the_cancellation_leaves_it_cancelled() -> None:
    subscription = cancelled()
    deliver(a_code_for(subscription.id))

    row = Subscription.objects.get()
    assert (row.status, row.code) == ("cancelled", CODE)


def test_the_api_shows_when_the_code_was_revoked(shop: Api) -> None:
    subscription = cancelled()
    path = f"/v1/subscriptions/{subscription.id}"
    before = shop.get(path).json()["code_revoked_at"]
    deliver(revoked(subscription.id))

    assert (before, shop.get(path).json()["code_revoked_at"]) == (None, "2026-02-02T03:04:06Z")


def test_the_time_of_the_first_confirmation_is_kept() -> None:
    subscription = cancelled()
    first = revoked(subscription.id)
    later = an_envelope(
        AccessCodeRevoked, subscription_id=subscription.id, revoked_at=timezone.now()
    )
    deliver(first)
    deliver(later)

    assert Subscription.objects.get().code_revoked_at == first.data.revoked_at


def test_a_revocation_by_an_operator_of_the_student_side_is_shown() -> None:
    subscription = a_subscription()
    [revocation] = deliver(revoked(subscription.id))
    [unknown] = deliver(revoked(UUID(int=7)))

    assert (revocation.result, unknown.result) == (Result.HANDLED, Result.REJECTED)
    assert Subscription.objects.get().code_revoked_at is not None
    assert Subscription.objects.get().cancelled_at is None


def test_a_metric_shows_the_age_of_the_oldest_unconfirmed_cancellation() -> None:
    def waiting() -> list[float]:
        return [family.samples[0].value for family in metrics.open_subscriptions()]

    a_subscription()
    subscription = cancelled()
    an_hour_ago = timezone.now() - timedelta(hours=1)
    Subscription.objects.filter(id=subscription.id).update(cancelled_at=an_hour_ago)
    codeless, _, oldest = waiting()
    deliver(revoked(subscription.id))

    assert (codeless, round(oldest, -2)) == (1, 3600)
    assert waiting() == [1, 0, 0]


def test_why_reports_the_cancellation_and_the_missing_confirmation() -> None:
    subscription = cancelled()
    [wait] = timeline.of(str(subscription.id)).waits
    deliver(revoked(subscription.id))

    report = timeline.of(str(subscription.id))
    assert wait.why.startswith("no confirmation yet that its code is revoked; requested once")
    assert report.waits == []
    assert {"cancelled", "code revoked, the student service reports"} <= {
        s.what for s in report.steps
    }
