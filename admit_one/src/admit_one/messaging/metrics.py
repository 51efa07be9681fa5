"""What a process counts for Prometheus. In the hot path it counts once a batch.

Labels have few values: states and results, never an id, an address or a name that others choose.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # second series that nobody reads

SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500)

WAITS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400)
"""Seconds: from what a customer does not notice to what a customer complains about."""

PUBLISHED = Counter("messaging_published", "Events that the broker has confirmed.")
NOT_PUBLISHED = Counter(
    "messaging_not_published",
    "Tries to publish an event that ended otherwise: nobody was bound to its key, or a refusal.",
    ["reason"],
)
CONSUMED = Counter(
    "messaging_consumed",
    "Messages by what became of them; all but handled and duplicate were set aside.",
    ["result"],
)
BATCH_SIZE = Histogram(
    "messaging_batch_size", "Messages in one batch.", ["direction"], buckets=SIZES
)
RECONNECTS = Counter(
    "messaging_reconnects", "How often the work began anew because broker or database were away."
)
READY = Gauge("messaging_ready", "1 if this process does its work, else 0, as /health/ready says.")

PUBLISHED_BATCH = BATCH_SIZE.labels("published")
CONSUMED_BATCH = BATCH_SIZE.labels("consumed")
RETURNED = NOT_PUBLISHED.labels("returned")
REFUSED = NOT_PUBLISHED.labels("refused")


def count_consumed(results: Iterable[str]) -> None:
    """Count what became of the messages of a batch, once for each result."""
    for result, number in Tally(results).items():
        CONSUMED.labels(result).inc(number)
