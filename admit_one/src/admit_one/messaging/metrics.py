"""What messaging counts, and what it reads from the database, for Prometheus.

In the hot path it counts once a batch. Labels have few values: states and results, never an id,
an address or a name that others choose.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Iterable, Iterator

from django.db.models.functions import Now
from prometheus_client import Counter, Histogram, Metric

from admit_one.metrics import AT_MOST, count, gauge, gauges

from .models import OutboxMessage, SetAside

SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500)

GROUPS = 20
"""Groups of set-aside messages with a line of their own; the others are one line together."""

PUBLISHED = Counter("messaging_published", "Events that the broker has confirmed.")
NOT_PUBLISHED = Counter(
    "messaging_not_published",
    "Attempts to publish an event that failed: nobody was bound to its key, or the broker refused.",
    ["reason"],
)
CONSUMED = Counter(
    "messaging_consumed",
    "Messages by result; all but handled and duplicate were set aside.",
    ["result"],
)
BATCH_SIZE = Histogram(
    "messaging_batch_size", "Messages in one batch.", ["direction"], buckets=SIZES
)
RECONNECTS = Counter(
    "messaging_reconnects",
    "New connections, because the broker or the database was away.",
)

PUBLISHED_BATCH = BATCH_SIZE.labels("published")
CONSUMED_BATCH = BATCH_SIZE.labels("consumed")
RETURNED = NOT_PUBLISHED.labels("returned")
REFUSED = NOT_PUBLISHED.labels("refused")


def count_consumed(results: Iterable[str]) -> None:
    """Count what became of the messages of a batch, once for each result."""
    for result, number in Tally(results).items():
        CONSUMED.labels(result).inc(number)


def outbox() -> Iterator[Metric]:
    unsent = OutboxMessage.objects.unsent()
    yield gauge(
        "messaging_outbox_unsent", f"Events that wait to be sent, {AT_MOST} at most.", count(unsent)
    )
    yield gauge(
        "messaging_outbox_oldest_unsent_seconds",
        "Age of the oldest event that waits to be sent, 0 if none does.",
        oldest_unsent_age(),
    )


def oldest_unsent_age() -> float:
    """Seconds that the oldest unsent event has waited, by the database's clock; 0 if none waits.

    The index of unsent rows is by the time of the next try, which is that of the writing but for
    rows that were refused: those are at its end, put off. So it is the first row of the index or
    one that is put off, however many wait between. Refused rows that are due again may be
    overlooked while others wait, until their next try.
    """
    unsent = OutboxMessage.objects.unsent().order_by("next_attempt_at", "id").annotate(now=Now())
    put_off = unsent.filter(next_attempt_at__gt=Now())
    few = [*unsent.values("now", "created_at")[:1], *put_off.values("now", "created_at")[:1_000]]
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
    yield gauges(
        "messaging_set_aside",
        f"Messages set aside, {AT_MOST} at most, by group and state; a dead one is a dead letter.",
        ("state", "group"),
        reported,
    )
