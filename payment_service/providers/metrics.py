"""Prometheus metrics of the providers' events."""

from __future__ import annotations

from collections.abc import Iterator

from admit_one.metrics import counted
from prometheus_client import Counter, Metric

from .models import OPEN, ProviderEvent

EVENTS = Counter(
    "provider_events",
    "Verified events of payment providers, by what became of them, also when they are tried again.",
    ["provider", "result"],
)

REFUSED = Counter(
    "provider_events_refused",
    "Requests to a payment provider's address that were refused.",
    ["provider", "reason"],
)


def open_events() -> Iterator[Metric]:
    yield counted(
        "provider_events_open",
        "Events of payment providers that are not handled",
        ProviderEvent.objects.filter(state__in=OPEN),
        by="state",
        values=[state.value for state in OPEN],
    )
