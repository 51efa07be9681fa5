"""What Prometheus reads of subscriptions: how many wait, how long, and where both sides differ."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Collection, Iterator
from datetime import datetime
from uuid import UUID

from admit_one.metrics import AT_MOST, WAITS, count, gauge, gauges
from django.db import transaction
from django.db.models import Exists, Min, OuterRef
from django.utils import timezone
from prometheus_client import Histogram, Metric

from .models import UNANSWERED, Drift, ReconciliationRun, Subscription

PAID_TO_CODE = Histogram(
    "subscriptions_paid_to_code_seconds",
    "From the payment to when the code is shown; of each batch, the one that waited longest.",
    buckets=WAITS,
)

STILL_DIFFERS = (Drift.State.OPEN, Drift.State.REPAIRING, Drift.State.NEEDS_PERSON)


def codes_came(subscriptions: Collection[UUID]) -> None:
    """Observe once a batch, after its commit."""
    # Our ids are of version 7: they begin with the millisecond of the payment.
    paid_at = min(subscription.int >> 80 for subscription in subscriptions) / 1000
    transaction.on_commit(lambda: PAID_TO_CODE.observe(max(0.0, time.time() - paid_at)))


def open_subscriptions() -> Iterator[Metric]:
    """By the index of subscriptions that wait for the student side."""
    waiting = Subscription.objects.filter(UNANSWERED)
    yield gauge(
        "subscriptions_without_code",
        f"Subscriptions that wait for their access code, {AT_MOST} at most.",
        count(waiting.filter(cancelled_at__isnull=True)),
    )
    oldest = waiting.filter(cancelled_at__isnull=False).aggregate(at=Min("cancelled_at"))["at"]
    yield gauge(
        "subscriptions_oldest_unrevoked_seconds",
        "Age of the oldest cancellation whose code may still let in, 0 if there is none.",
        _age(oldest),
    )


def _age(moment: datetime | None) -> float:
    return 0.0 if moment is None else max(0.0, (timezone.now() - moment).total_seconds())


def drift() -> Iterator[Metric]:
    """The drift of the latest daily run that nobody has repaired since.

    Other runs do not count: one of another window, or without an answer, knows nothing of it.
    """
    daily = ReconciliationRun.objects.filter(scheduled_for__isnull=False, ended_at__isnull=False)
    latest = daily.exclude(state=ReconciliationRun.State.UNANSWERED).order_by("-scheduled_for")
    repaired = Drift.objects.filter(
        subscription_id=OuterRef("subscription_id"),
        state=Drift.State.REPAIRED,
        closed_at__gt=OuterRef("found_at"),
    )
    still = Drift.objects.filter(~Exists(repaired), run__in=latest[:1], state__in=STILL_DIFFERS)
    by_kind = Tally(still.order_by().values_list("kind", flat=True)[:AT_MOST])
    yield gauge(
        "subscriptions_compared_age_seconds",
        "Since when both sides were last compared by the daily run, 0 if they never were.",
        _age(latest.values_list("ended_at", flat=True).first()),
    )
    yield gauges(
        "subscriptions_drift",
        f"Subscriptions on which both sides differ, as last compared, {AT_MOST} at most.",
        ("kind",),
        {(kind,): by_kind[kind] for kind in Drift.Kind.values},
    )
