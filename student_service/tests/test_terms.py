"""The terms with the highest version count, in whatever order they arrive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest
from access_codes.models import AccessCode, Suspension, Terms
from admit_one.contract.envelope import Envelope
from admit_one.contract.fields import MAX_AMOUNT
from admit_one.messaging.inbox import Result
from admit_one.messaging.testing import an_envelope, deliver, published
from django.utils import timezone
from shared_contracts.events import AccessTermsApplied, AccessTermsChanged, UserSubscribed

pytestmark = pytest.mark.django_db

UNTIL = datetime(2030, 1, 1, tzinfo=UTC)


def terms(subscription: UUID, version: int, **changes: object) -> Envelope[AccessTermsChanged]:
    return an_envelope(AccessTermsChanged, subscription_id=subscription, version=version, **changes)


def applied() -> list[int]:
    return [m.data.version for m in published() if isinstance(m.data, AccessTermsApplied)]


def test_terms_that_come_with_a_request_are_kept_and_confirmed() -> None:
    request = an_envelope(UserSubscribed, version=1, valid_until=UNTIL, uses=3)
    deliver(request)

    row = Terms.objects.get(pk=request.data.subscription_id)
    assert (row.version, row.valid_until, row.uses) == (1, UNTIL, 3)
    assert applied() == [1]


def test_a_request_without_terms_writes_none() -> None:
    deliver(an_envelope(UserSubscribed))

    assert (Terms.objects.count(), applied()) == (0, [])


def test_terms_may_come_before_the_code() -> None:
    subscription = uuid4()
    deliver(terms(subscription, 2, suspended=True))
    deliver(an_envelope(UserSubscribed, subscription_id=subscription, version=1, uses=3))

    assert AccessCode.objects.get().terms.version == 2
    assert Suspension.objects.filter(subscription_id=subscription).count() == 1
    assert applied() == [2, 2]


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("at_once", [True, False])
def test_the_highest_version_counts_in_every_order(order: list[int], at_once: bool) -> None:
    subscription = uuid4()
    life = [
        terms(subscription, 1, uses=3),
        terms(subscription, 2, uses=3, suspended=True),
        terms(subscription, 3, valid_until=UNTIL),
    ]
    for batch in [[life[n] for n in order]] if at_once else [[life[n]] for n in order]:
        deliver(*batch)

    row = Terms.objects.get()
    assert (row.version, row.uses, row.valid_until) == (3, None, UNTIL)
    assert Suspension.objects.count() == 0
    assert applied()[-1] == 3


def test_a_suspension_by_an_operator_survives_what_the_payment_side_lifts() -> None:
    subscription = uuid4()
    since = datetime(2026, 1, 1, tzinfo=UTC)
    Suspension.objects.create(subscription_id=subscription, maker="operator", since=since)
    deliver(terms(subscription, 1, suspended=True))
    deliver(terms(subscription, 2))

    assert [row.maker for row in Suspension.objects.all()] == ["operator"]


@pytest.mark.parametrize("event_class", [AccessTermsChanged, UserSubscribed])
def test_terms_of_the_far_future_do_not_hide_the_later_ones(event_class: type[Any]) -> None:
    now = int(timezone.now().timestamp() * 1000)
    subscription = uuid4()
    forged = an_envelope(event_class, subscription_id=subscription, version=MAX_AMOUNT, uses=1)
    *_, refused, kept = deliver(
        terms(subscription, now, uses=2), forged, terms(subscription, now + 1, uses=3)
    )

    assert (refused.result, kept.result) == (Result.REJECTED, Result.HANDLED)
    assert Terms.objects.get(pk=subscription).uses == 3


def test_the_same_terms_again_change_nothing_and_are_confirmed_again() -> None:
    subscription = uuid4()
    deliver(terms(subscription, 1, valid_until=UNTIL))
    deliver(terms(subscription, 1, valid_until=UNTIL + timedelta(days=1)))

    assert Terms.objects.get().valid_until == UNTIL
    assert applied() == [1, 1]
