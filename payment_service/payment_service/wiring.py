"""What `admit_one` calls in this service: the wiring of subscriptions, and what providers add."""

from collections.abc import Iterator
from dataclasses import replace

from admit_one.erasure.definition import Eraser
from admit_one.messaging import Step, Wait
from admit_one.sealing import Keyring, Sealed
from providers import erasing, metrics, tasks, timeline
from providers.models import BODY_PURPOSE, ProviderEvent
from subscriptions import wiring as subscriptions

HANDLERS = subscriptions.HANDLERS

KEYRING = Keyring(
    sealed=(*subscriptions.KEYRING.sealed, Sealed(ProviderEvent, "body", BODY_PURPOSE))
)

ERASURE = replace(subscriptions.ERASURE, outside=erasing.still_charging)

# First, because handling an event locks a subscription last.
ERASERS = (Eraser(erasing.rows, erasing.erase), *subscriptions.ERASERS)

ON_ERASED = subscriptions.ON_ERASED


def TIMELINE(subject: str) -> Iterator[Step | Wait | str]:  # noqa: N802 (the wiring's name)
    yield from subscriptions.TIMELINE(subject)
    yield from timeline.of(subject)


METRICS = (*subscriptions.METRICS, metrics.open_events)

SCHEDULE = {
    **subscriptions.SCHEDULE,
    tasks.handle_provider_events: 60,
    tasks.prune_provider_events: 3_600,
}
