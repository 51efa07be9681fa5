"""The metrics of subscriptions show how long clients wait."""

from __future__ import annotations

import pytest
from admit_one.messaging.testing import deliver
from prometheus_client import REGISTRY
from subscriptions import metrics

from tests.factories import a_code_for, a_subscription

pytestmark = pytest.mark.django_db(transaction=True)

COUNT = "subscriptions_paid_to_code_seconds_count"


def value(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


def waiting() -> float:
    family, *_ = metrics.open_subscriptions()
    [sample] = family.samples
    return sample.value


def test_a_batch_of_codes_is_observed_once_and_a_duplicate_never() -> None:
    first, second = a_subscription(), a_subscription()
    before = value(COUNT)
    assert waiting() == 2
    codes = a_code_for(first.id), a_code_for(second.id)
    deliver(*codes)
    deliver(*codes)

    assert value(COUNT) - before == 1
    assert waiting() == 0
