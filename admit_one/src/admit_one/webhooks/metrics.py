"""Prometheus metrics of webhooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import Counter, Metric

from admit_one.metrics import counted

from .models import Delivery, Endpoint

ATTEMPTS = Counter(
    "webhooks_attempts",
    "Attempts, by the state of the delivery afterwards: delivered, pending, failed, taken_over.",
    ["state"],
)
DISABLED = Counter("webhooks_disabled", "Endpoints that were disabled, because they failed.")


def count(states: Mapping[str, int]) -> None:
    """Count attempts by the states of their deliveries, after the commit."""
    for state, number in states.items():
        ATTEMPTS.labels(state).inc(number)


def open_deliveries() -> Iterator[Metric]:
    waiting = Delivery.objects.filter(state=Delivery.State.PENDING)
    yield counted("webhooks_waiting", "Webhooks that wait to be delivered", waiting)
    existing = Endpoint.objects.filter(deleted_at__isnull=True)
    yield counted("webhooks_endpoints", "Webhook endpoints of clients", existing)
    yield counted(
        "webhooks_endpoints_failing",
        "Webhook endpoints whose last attempt failed",
        existing.filter(failing_since__isnull=False, disabled_at__isnull=True),
    )
    yield counted(
        "webhooks_endpoints_disabled",
        "Webhook endpoints that nothing is sent to",
        existing.filter(disabled_at__isnull=False),
    )
