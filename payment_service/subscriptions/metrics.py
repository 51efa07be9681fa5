"""What Prometheus reads of subscriptions: how many wait for a code, and how long they waited."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from uuid import UUID

from django.db import transaction
from prometheus_client import Histogram, Metric
from shared_contracts.messaging.metrics import WAITS
from shared_contracts.messaging.numbers import AT_MOST, count, gauge, numbers

from .models import Subscription

PAID_TO_CODE = Histogram(
    "subscriptions_paid_to_code_seconds",
    "From the payment to when the code is shown; of each batch, the one that waited longest.",
    buckets=WAITS,
)


def codes_came(subscriptions: Collection[UUID]) -> None:
    """Observe once a batch, after its commit."""
    # Our ids are of version 7: they begin with the millisecond of the payment.
    paid_at = min(subscription.int >> 80 for subscription in subscriptions) / 1000
    transaction.on_commit(lambda: PAID_TO_CODE.observe(max(0.0, time.time() - paid_at)))


def waiting() -> Iterator[Metric]:
    """By the index of subscriptions without a code."""
    yield gauge(
        "subscriptions_without_code",
        f"Subscriptions that wait for their access code, {AT_MOST} at most.",
        count(Subscription.objects.filter(access_code__isnull=True)),
    )


numbers.readings.append(waiting)
