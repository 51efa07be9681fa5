"""Every event class that this process has imported, by its type."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .event import Event

EVENTS: dict[str, type[Event]] = {}
"""Event classes register themselves here when they are defined."""


def register(event_class: type[Event]) -> None:
    """Add `event_class` to `EVENTS`. Raises `TypeError` if the class contradicts itself."""
    name = event_class.__qualname__
    known = EVENTS.get(event_class.type)
    if known is not None and (known.__module__, known.__qualname__) != (
        event_class.__module__,
        name,
    ):
        raise TypeError(f"{name}: the type {event_class.type!r} is taken by {known.__qualname__}")
    if not getattr(event_class, "producer", ""):
        raise TypeError(f"{name}: expected `producer`, the name of the service that publishes it")
    fields = set(event_class.model_fields)
    if event_class.about not in fields:
        raise TypeError(f"{name}: about = {event_class.about!r} names none of its fields")
    if unknown := sorted(event_class.sensitive - fields):
        raise TypeError(f"{name}: sensitive names no field of it: {', '.join(unknown)}")
    EVENTS[event_class.type] = event_class
