"""What `admit_one` calls in this service: the wiring of subscriptions, and what providers add."""

from collections.abc import Iterator
from dataclasses import replace

from admit_one.erasure.definition import Eraser, Unassigned
from admit_one.messaging import Step, Wait
from admit_one.sealing import Keyring, Sealed
from providers import erasing, metrics, persons, tasks, timeline
from providers.models import BODY_PURPOSE, NAME_PURPOSE, ProviderEvent, ProviderPerson, name_hash
from subscriptions import wiring as subscriptions

HANDLERS = subscriptions.HANDLERS

KEYRING = Keyring(
    sealed=(
        *subscriptions.KEYRING.sealed,
        Sealed(ProviderEvent, "body", BODY_PURPOSE),
        Sealed(ProviderPerson, "name", NAME_PURPOSE, hashes={"name_hash": name_hash}),
    )
)

ERASURE = replace(
    subscriptions.ERASURE,
    outside=erasing.still_charging,
    unassigned=Unassigned(
        called="open event",
        find=persons.find,
        rows=erasing.rows_of_open,
        erase=erasing.erase_open,
        outside=erasing.still_charging_for_open,
        unsearched=persons.unsearched,
    ),
)

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
