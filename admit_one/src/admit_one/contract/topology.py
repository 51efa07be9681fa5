"""Who publishes what and who handles it, as data; and what each thing is called on the broker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from . import names
from .event import Event
from .registry import EVENTS


@dataclass(frozen=True)
class Service:
    """One service: it publishes the events whose `producer` it is, and handles `handles`."""

    name: str
    handles: Sequence[type[Event]] = ()
    retired: tuple[tuple[str, str], ...] = ()
    """(exchange, routing key) pairs that an earlier release bound and this one unbinds."""

    def __post_init__(self) -> None:
        """Raises `ValueError` or `TypeError` naming what does not fit."""
        if not names.SERVICE.fullmatch(self.name):
            raise ValueError(f"service: {names.expected(100)}, got {self.name!r}")
        if not (isinstance(self.handles, Sequence) and all(map(_is_event, self.handles))):
            raise TypeError(f"{self.name} handles: expected event classes, got {self.handles!r}")
        object.__setattr__(self, "handles", tuple(self.handles))
        for event in self.handles:
            if self.handles.count(event) > 1:
                raise ValueError(f"{self.name} handles {event.type} twice")

    @property
    def publishes(self) -> tuple[type[Event], ...]:
        """The events that name this service as their producer."""
        return tuple(event for event in EVENTS.values() if event.producer == self.name)

    def exchange(self, prefix: str = "") -> str:
        """The name of the one exchange that this service publishes to."""
        return f"{prefix}{self.name}.events"

    def inbox(self, prefix: str = "") -> str:
        """The name of the queue that holds everything this service handles."""
        return f"{prefix}{self.name}.inbox"

    def dead(self, prefix: str = "") -> str:
        """The name of the queue and exchange for messages past their delivery limit."""
        return f"{prefix}{self.name}.dead"


def _is_event(given: object) -> bool:
    return isinstance(given, type) and issubclass(given, Event) and hasattr(given, "type")


class Topology(Mapping[str, Service]):
    """The services of a contract, by name.

    Raises `ValueError` if a name stands twice, or a service handles an event that no service of
    this contract publishes.
    """

    def __init__(self, *services: Service) -> None:
        self._services = {service.name: service for service in services}
        if len(self._services) < len(services):
            raise ValueError(f"a service stands twice: {', '.join(s.name for s in services)}")
        for service in services:
            for event in service.handles:
                if event.producer not in self._services:
                    raise ValueError(
                        f"{service.name} handles {event.type}, but its producer "
                        f"{event.producer} is no service of this topology"
                    )

    def __getitem__(self, name: str) -> Service:
        return self._services[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._services)

    def __len__(self) -> int:
        return len(self._services)
