"""Every event class that this process has imported, by its type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import AliasChoices

from . import names
from .sealed import sealed_fields

if TYPE_CHECKING:
    from .event import Event

EVENTS: dict[str, type[Event]] = {}
"""Event classes register themselves here when they are defined."""

RESERVED = {
    "type",
    "producer",
    "about",
    "sensitive",
    "sealed_for",
    "sealed_only",
    "signed",
    "subject",
}
"""Attributes that every event class has already; no field may take their names."""


def register(event_class: type[Event]) -> None:
    """Add `event_class` to `EVENTS`. Raises `TypeError` if the class contradicts itself."""
    name, fields = event_class.__qualname__, set(event_class.model_fields)
    if taken := sorted(fields & RESERVED):
        raise TypeError(
            f"{name}: every event has {', '.join(taken)} already: give the field another name, "
            "or remove the annotation"
        )
    if not names.fits(names.TYPE, event_class.type):
        raise TypeError(f"{name}: type: {names.expected(200)}, got {event_class.type!r}")
    known = EVENTS.get(event_class.type)
    if known is not None and (known.__module__, known.__qualname__) != (
        event_class.__module__,
        name,
    ):
        raise TypeError(f"{name}: the type {event_class.type!r} is taken by {known.__qualname__}")
    producer = getattr(event_class, "producer", "")
    if not names.fits(names.SERVICE, producer):
        raise TypeError(f"{name}: producer: {names.expected(100)}, got {producer!r}")
    about = getattr(event_class, "about", "")
    if about not in fields:
        raise TypeError(f"{name}: about = {about!r} is not one of its fields")
    if unknown := sorted(set(event_class.sensitive) - fields):
        raise TypeError(f"{name}: sensitive: not fields of it: {', '.join(unknown)}")
    for field in sorted(fields):
        _refuse_unreadable(event_class, field)
    _refuse_unsealable(event_class)
    EVENTS[event_class.type] = event_class


def _refuse_unreadable(event_class: type[Event], name: str) -> None:
    """Raise `TypeError` if a reader would not find the field by the name it is written by."""
    field, config = event_class.model_fields[name], event_class.model_config
    written = field.serialization_alias if config.get("serialize_by_alias") else None
    aliases = field.validation_alias
    read = list(aliases.choices) if isinstance(aliases, AliasChoices) else [aliases or name]
    if config.get("populate_by_name") or config.get("validate_by_name"):
        read.append(name)
    if field.exclude or (written or name) not in read:
        raise TypeError(
            f"{event_class.__qualname__}.{name}: no reader would find it: expected no exclude, and "
            "no alias without serialize_by_alias"
        )


def _refuse_unsealable(event_class: type[Event]) -> None:
    """Raise `TypeError` unless its sealed fields have a reader, and are not shown elsewhere."""
    name, sealed = event_class.__qualname__, sealed_fields(event_class)
    if bool(sealed) != bool(event_class.sealed_for):
        raise TypeError(f"{name}: expected fields of the type Sealed[…] and sealed_for, or neither")
    if sealed and not names.fits(names.SERVICE, event_class.sealed_for):
        raise TypeError(
            f"{name}: sealed_for: {names.expected(100)}, got {event_class.sealed_for!r}"
        )
    if shown := sorted(set(sealed) - set(event_class.sensitive)):
        raise TypeError(f"{name}: sensitive: expected also {', '.join(shown)}, which is sealed")
