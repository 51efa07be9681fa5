"""Whatever order the student side's reports arrive in, the highest counts."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest
from admit_one.contract.envelope import Envelope
from admit_one.contract.fields import MAX_AMOUNT
from admit_one.messaging.inbox import Result
from admit_one.messaging.testing import an_envelope, deliver
from django.utils import timezone
from shared_contracts.events import (
    AccessCodeEmailed,
    AccessCodeExpiringSoon,
    AccessCodeFailed,
    AccessCodeRedeemed,
    AccessCodeReplaced,
    AccessCodeResendAnswered,
    AccessCodeUndeliverable,
    AccessSuspensionChanged,
    AccessTermsApplied,
)
from subscriptions import lifecycle
from subscriptions.models import Subscription

from tests.conftest import Api
from tests.factories import CODE, OTHER_CODE, a_code_for, a_subscription

pytestmark = pytest.mark.django_db

THIRD_CODE = "3333-3333-3333-3333"


def replaced(subscription: UUID, generation: int, code: str) -> Envelope[AccessCodeReplaced]:
    return an_envelope(
        AccessCodeReplaced,
        subscription_id=subscription,
        generation=generation,
        access_code=code,
    )


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("at_once", [True, False])
def test_the_code_of_the_highest_generation_is_kept(order: list[int], at_once: bool) -> None:
    subscription = a_subscription()
    life: list[Envelope[Any]] = [
        a_code_for(subscription.id, CODE),
        replaced(subscription.id, 2, OTHER_CODE),
        replaced(subscription.id, 3, THIRD_CODE),
    ]
    batches = [[life[n] for n in order]] if at_once else [[life[n]] for n in order]
    results = {outcome.result for batch in batches for outcome in deliver(*batch)}

    row = Subscription.objects.get()
    assert (row.code, row.code_generation) == (THIRD_CODE, 3)
    assert results == {Result.HANDLED}


def test_a_second_code_of_one_generation_is_refused() -> None:
    subscription = a_subscription()
    deliver(a_code_for(subscription.id), replaced(subscription.id, 2, OTHER_CODE))
    [refused] = deliver(replaced(subscription.id, 2, THIRD_CODE))

    assert refused.result == Result.REJECTED
    assert Subscription.objects.get().code == OTHER_CODE


def test_redemptions_and_suspensions_are_shown(shop: Api) -> None:
    subscription = a_subscription()
    of = {"subscription_id": subscription.id}
    deliver(
        an_envelope(AccessCodeRedeemed, **of, uses=2),
        an_envelope(AccessCodeRedeemed, **of, uses=1),
        an_envelope(AccessSuspensionChanged, **of, version=7, suspended=True),
        an_envelope(AccessSuspensionChanged, **of, version=6, suspended=False),
    )

    shown = shop.get(f"/v1/subscriptions/{subscription.id}").json()
    assert (shown["uses_made"], shown["suspended"]) == (2, True)
    assert shown["redeemed_at"] is not None


@pytest.mark.parametrize(
    ("event_class", "column"),
    [
        (AccessTermsApplied, "terms_applied"),
        (AccessSuspensionChanged, "suspension_version"),
        (AccessCodeResendAnswered, "resend_answered"),
    ],
)
def test_a_version_of_the_far_future_does_not_hide_the_later_ones(
    event_class: type[Any], column: str
) -> None:
    subscription = a_subscription()
    now = int(timezone.now().timestamp() * 1000)
    results = [
        outcome.result
        for version in (MAX_AMOUNT, now)
        for outcome in deliver(
            an_envelope(event_class, subscription_id=subscription.id, version=version)
        )
    ]

    assert results == [Result.REJECTED, Result.HANDLED]
    assert getattr(Subscription.objects.get(), column) == now


@pytest.mark.parametrize(
    ("event_class", "number"),
    [
        (AccessCodeEmailed, {}),
        (AccessCodeReplaced, {"generation": 2}),
        (AccessCodeRedeemed, {"uses": 1}),
        (AccessTermsApplied, {"version": 1}),
        (AccessSuspensionChanged, {"version": 1}),
    ],
)
def test_reports_about_an_unknown_subscription_are_rejected(
    event_class: type[AccessTermsApplied], number: dict[str, int]
) -> None:
    [outcome] = deliver(an_envelope(event_class, subscription_id=uuid4(), **number))

    assert outcome.result == Result.REJECTED


def test_a_failure_is_shown_until_a_code_comes(shop: Api) -> None:
    subscription = a_subscription()
    url = f"/v1/subscriptions/{subscription.id}"
    failed = an_envelope(AccessCodeFailed, subscription_id=subscription.id, reason="no luck")
    deliver(failed)
    before = shop.get(url).json()
    deliver(a_code_for(subscription.id))
    after = shop.get(url).json()

    assert (before["status"], before["problem"]["reason"]) == ("pending", "no luck")
    assert (after["status"], after["problem"]) == ("active", None)


def test_what_is_reported_is_shown_as_one_line_that_nobody_can_turn_round(shop: Api) -> None:
    subscription = a_subscription()
    reason = "no \x1b[2Jluck\r\n\u202eevil"
    of: dict[str, Any] = {"subscription_id": subscription.id}
    deliver(
        an_envelope(AccessCodeFailed, **of, reason=reason),
        an_envelope(AccessCodeUndeliverable, **of, reason=reason),
        an_envelope(AccessCodeResendAnswered, **of, version=1, refused=reason),
    )

    row = Subscription.objects.get()
    assert {row.failure, row.mail_failure, row.resend_refused} == {"no ?[2Jluck  ?evil"}


def test_the_latest_mail_is_shown(shop: Api) -> None:
    subscription = a_subscription()
    later, earlier = (
        an_envelope(AccessCodeEmailed, subscription_id=subscription.id, emailed_at=at)
        for at in ("2026-01-03T00:00:00Z", "2026-01-02T00:00:00Z")
    )
    deliver(later)
    deliver(earlier)

    shown = shop.get(f"/v1/subscriptions/{subscription.id}").json()
    assert shown["emailed_at"] == "2026-01-03T00:00:00Z"


def test_a_failure_of_a_subscription_that_nobody_paid_changes_nothing() -> None:
    [outcome] = deliver(an_envelope(AccessCodeFailed, subscription_id=uuid4()))

    assert outcome.result == Result.HANDLED


def test_an_earlier_failure_does_not_replace_a_later_one(shop: Api) -> None:
    subscription = a_subscription()
    for at, reason in (("2026-01-03T00:00:00Z", "later"), ("2026-01-02T00:00:00Z", "earlier")):
        deliver(
            an_envelope(
                AccessCodeFailed, subscription_id=subscription.id, failed_at=at, reason=reason
            )
        )

    problem = shop.get(f"/v1/subscriptions/{subscription.id}").json()["problem"]
    assert problem == {"at": "2026-01-03T00:00:00Z", "reason": "later"}


def warned(subscription: Subscription, until: datetime) -> Envelope[Any]:
    return Envelope.of(
        AccessCodeExpiringSoon(
            subscription_id=subscription.id, valid_until=until, noted_at=timezone.now()
        )
    )


def test_that_it_expires_soon_is_shown_until_it_is_renewed(shop: Api) -> None:
    until = timezone.now() + timedelta(days=5)
    subscription = a_subscription(valid_until=until)
    path = f"/v1/subscriptions/{subscription.id}"
    before = shop.get(path).json()["expiring_soon_at"]
    deliver(warned(subscription, until))
    deliver(warned(subscription, until - timedelta(days=30)))  # an earlier one comes late
    shown = shop.get(path).json()["expiring_soon_at"]
    later = until + timedelta(days=30)
    lifecycle.renew(client="shop", subscription_id=subscription.id, valid_until=later)
    renewed = shop.get(path).json()["expiring_soon_at"]

    assert (before, shown is not None, renewed) == (None, True, None)


def test_that_it_expires_soon_is_not_believed_of_the_far_future() -> None:
    subscription = a_subscription()
    deliver(warned(subscription, timezone.now() + timedelta(days=4_000)))
    near = timezone.now() + timedelta(days=366)

    noted = Subscription.objects.get().expiring_until
    assert noted is not None
    assert noted < near
