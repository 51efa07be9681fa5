"""Messaging's metrics for Prometheus: counters, and gauges that are read from the database.

In the hot path it counts once per batch. Labels have few values: states and results, never an id,
an address or a name that others choose.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Iterable, Iterator

from django.db.models.functions import Now
from prometheus_client import Counter, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily

from admit_one.metrics import AT_MOST, counted

from .models import OutboxMessage, SetAside

SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500)

GROUPS = 20
"""Groups of set-aside messages with a series of their own; the others share one."""

PUBLISHED = Counter("messaging_published", "Events that the broker has confirmed.")
NOT_PUBLISHED = Counter(
    "messaging_not_published",
    "Failed attempts to publish an event: no queue was bound to its key, or the broker refused it.",
    ["reason"],
)
CONSUMED = Counter(
    "messaging_consumed",
    "Consumed messages by result; all but handled and duplicate were set aside.",
    ["result"],
)
BATCH_SIZE = Histogram(
    "messaging_batch_size", "Messages in one batch.", ["direction"], buckets=SIZES
)
RECONNECTS = Counter(
    "messaging_reconnects",
    "New connections, because the broker or the database was unavailable.",
)

PUBLISHED_BATCH = BATCH_SIZE.labels("published")
CONSUMED_BATCH = BATCH_SIZE.labels("consumed")
RETURNED = NOT_PUBLISHED.labels("returned")
REFUSED = NOT_PUBLISHED.labels("refused")


def count_consumed(results: Iterable[str]) -> None:
    """Count the results of a batch."""
    for result, number in Tally(results).items():
        CONSUMED.labels(result).inc(number)


def outbox() -> Iterator[Metric]:
    unsent = OutboxMessage.objects.unsent()
    yield counted("messaging_outbox_unsent", "Unsent events in the outbox", unsent)
    yield GaugeMetricFamily(
        "messaging_outbox_oldest_unsent_seconds",
        "Age in seconds of the oldest unsent event, 0 if there is none.",
        value=oldest_unsent_age(),
    )


def oldest_unsent_age() -> float:
    """Seconds that the oldest unsent event has waited, by the database's clock; 0 if none waits.

    The index of unsent rows is ordered by the next attempt: the time of writing, or a later time
    for rows that were refused. So the oldest is the first of the index or one that is postponed,
    however many wait in between. Refused rows that are due again may be missed while others wait,
    until their next attempt.
    """
    unsent = OutboxMessage.objects.unsent().order_by("next_attempt_at", "id").annotate(now=Now())
    postponed = unsent.filter(next_attempt_at__gt=Now())
    few = [*unsent.values("now", "created_at")[:1], *postponed.values("now", "created_at")[:1_000]]
    return max(((row["now"] - row["created_at"]).total_seconds() for row in few), default=0.0)


def set_aside() -> Iterator[Metric]:
    sizes: dict[tuple[str, str], int] = defaultdict(int)
    waiting = SetAside.objects.open().order_by().values_list("state", "fingerprint")[:AT_MOST]
    for state, group in waiting:
        sizes[state, group] += 1
    largest_first = sorted(sizes, key=lambda key: (-sizes[key], key))
    reported: dict[tuple[str, ...], float] = defaultdict(float)
    for place, (state, group) in enumerate(largest_first):
        reported[state, group if place < GROUPS else "other"] += sizes[state, group]
    family = GaugeMetricFamily(
        "messaging_set_aside",
        f"Messages set aside, {AT_MOST} at most, by group and state; a dead one is a dead letter.",
        labels=["state", "group"],
    )
    for labels, number in reported.items():
        family.add_metric(labels, number)
    yield family
