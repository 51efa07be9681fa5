"""Who publishes and who handles each event, as data, and the names of exchanges and queues."""

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
        if not names.fits(names.SERVICE, self.name):
            raise ValueError(f"service: {names.expected(100)}, got {self.name!r}")
        if not (isinstance(self.handles, Sequence) and all(map(is_event, self.handles))):
            raise TypeError(f"{self.name} handles: expected event classes, got {self.handles!r}")
        object.__setattr__(self, "handles", tuple(self.handles))
        for event in self.handles:
            if self.handles.count(event) > 1:
                raise ValueError(f"{self.name} handles {event.type} twice")
        if not (isinstance(self.retired, Sequence) and all(map(_is_pair, self.retired))):
            raise TypeError(
                f"{self.name} retired: expected (exchange, routing key) pairs, got {self.retired!r}"
            )
        for event in self.handles:
            # It would be unbound as soon as it is bound.
            if (f"{event.producer}.events", event.type) in self.retired:
                raise ValueError(f"{self.name} handles {event.type}, which it has retired")

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


def is_event(given: object) -> bool:
    """Whether it is an event class with a type of its own: messages are read as that class."""
    return isinstance(given, type) and issubclass(given, Event) and "type" in vars(given)


def _is_pair(given: object) -> bool:
    return isinstance(given, tuple) and len(given) == 2 and all(isinstance(n, str) for n in given)


class Topology(Mapping[str, Service]):
    """The services of a contract, by name.

    Raises `ValueError` if a name is given twice, if a service handles an event that no service of
    this contract publishes, if a signed event has several receivers, or if the reader of a sealed
    field does not handle the event; and `TypeError` for anything but a service.
    """

    def __init__(self, *services: Service) -> None:
        if others := [given for given in services if not isinstance(given, Service)]:
            raise TypeError(f"expected services, got {others[0]!r}")
        self._services = {service.name: service for service in services}
        if len(self._services) < len(services):
            raise ValueError(f"a service is given twice: {', '.join(s.name for s in services)}")
        for service in services:
            for event in service.handles:
                if event.producer not in self._services:
                    raise ValueError(
                        f"{service.name} handles {event.type}, but its producer "
                        f"{event.producer} is not a service of this topology"
                    )

        for event in {event for service in services for event in service.handles}:
            self._refuse_receivers(event)

    def receivers(self, event: type[Event]) -> list[str]:
        """The services that handle `event`."""
        return [name for name, service in self.items() if event in service.handles]

    def _refuse_receivers(self, event: type[Event]) -> None:
        receivers = self.receivers(event)
        if event.signed and len(receivers) > 1:
            raise ValueError(
                f"{event.type} is signed for one receiver: expected one service that handles it, "
                f"got {', '.join(receivers)}"
            )
        if event.sealed_for and event.sealed_for not in receivers:
            raise ValueError(
                f"{event.type} is sealed for {event.sealed_for}, which does not handle it"
            )

    def __getitem__(self, name: str) -> Service:
        return self._services[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._services)

    def __len__(self) -> int:
        return len(self._services)
