"""Every event class that this process has imported, by its type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import names

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
    if not names.TYPE.fullmatch(event_class.type):
        raise TypeError(f"{name}: type: {names.expected(200)}, got {event_class.type!r}")
    producer = getattr(event_class, "producer", "")
    if not names.SERVICE.fullmatch(producer):
        raise TypeError(f"{name}: producer: {names.expected(100)}, got {producer!r}")
    fields = set(event_class.model_fields)
    if event_class.about not in fields:
        raise TypeError(f"{name}: about = {event_class.about!r} names none of its fields")
    if unknown := sorted(set(event_class.sensitive) - fields):
        raise TypeError(f"{name}: sensitive names no field of it: {', '.join(unknown)}")
    EVENTS[event_class.type] = event_class
