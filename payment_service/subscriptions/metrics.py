"""Prometheus metrics of subscriptions: how many wait, how long, and where both sides differ."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from datetime import datetime
from uuid import UUID

from admit_one.metrics import WAITS, counted
from django.db import transaction
from django.db.models import Exists, Min, OuterRef
from django.utils import timezone
from prometheus_client import Counter, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily

from .models import UNANSWERED, Drift, ReconciliationRun, Subscription

PAID_TO_CODE = Histogram(
    "subscriptions_paid_to_code_seconds",
    "Seconds from the payment to the code, of the slowest subscription in each batch.",
    buckets=WAITS,
)

UNREADABLE_CODES = Counter(
    "subscriptions_unreadable_codes",
    "Codes that a response did not show, because they cannot be unsealed.",
)

ORDERS_COMPLETED = Counter(
    "subscriptions_orders_completed", "Orders of which no seat is pending any more."
)

STILL_DIFFERS = (Drift.State.OPEN, Drift.State.REPAIRING, Drift.State.NEEDS_PERSON)


def observe_codes(subscriptions: Collection[UUID]) -> None:
    """Observe the slowest of a batch, after its commit."""
    # Our ids are UUIDs of version 7: they begin with the payment's time in milliseconds.
    paid_at = min(subscription.int >> 80 for subscription in subscriptions) / 1000
    transaction.on_commit(lambda: PAID_TO_CODE.observe(max(0.0, time.time() - paid_at)))


def open_subscriptions() -> Iterator[Metric]:
    waiting = Subscription.objects.filter(UNANSWERED)
    yield counted(
        "subscriptions_without_code",
        "Subscriptions that wait for their access code",
        waiting.filter(cancelled_at__isnull=True, access_code__isnull=True),
    )
    yield counted(
        "subscriptions_terms_not_applied",
        "Subscriptions whose code does not work by their latest terms yet",
        waiting.filter(cancelled_at__isnull=True, access_code__isnull=False),
    )
    oldest = waiting.filter(cancelled_at__isnull=False).aggregate(at=Min("cancelled_at"))["at"]
    yield GaugeMetricFamily(
        "subscriptions_oldest_unrevoked_seconds",
        "Age of the oldest cancellation whose code may still work, 0 if there is none.",
        value=_age(oldest),
    )


def _age(moment: datetime | None) -> float:
    return 0.0 if moment is None else max(0.0, (timezone.now() - moment).total_seconds())


def drift() -> Iterator[Metric]:
    """The drift of the latest daily run, without what was repaired since.

    Runs of other windows and unanswered runs say nothing about it, so they do not count.
    """
    daily = ReconciliationRun.objects.filter(scheduled_for__isnull=False, ended_at__isnull=False)
    latest = daily.exclude(state=ReconciliationRun.State.UNANSWERED).order_by("-scheduled_for")
    repaired = Drift.objects.filter(
        subscription_id=OuterRef("subscription_id"),
        state=Drift.State.REPAIRED,
        closed_at__gt=OuterRef("found_at"),
    )
    still = Drift.objects.filter(~Exists(repaired), run__in=latest[:1], state__in=STILL_DIFFERS)
    yield GaugeMetricFamily(
        "subscriptions_compared_age_seconds",
        "Seconds since a daily run last compared both sides, 0 if none did.",
        value=_age(latest.values_list("ended_at", flat=True).first()),
    )
    yield counted(
        "subscriptions_drift",
        "Subscriptions about which both sides differed when last compared",
        still,
        by="kind",
        values=Drift.Kind.values,
    )
