"""An example of an event, made from the types of its fields: its first golden message."""

from __future__ import annotations

import types
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel, ValidationError

from .envelope import Envelope
from .errors import ContractError
from .event import Event

EXAMPLE_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ID = UUID("019b7c5e-29f8-7b52-8a41-0c9d3e7f2a10")
EVENT_ID = "019b7c5e-2a10-7c31-9d0e-5f4b8a6c1e01"

BY_TYPE: dict[type, Any] = {
    UUID: ID,
    datetime: EXAMPLE_TIME,
    str: "example",
    int: 1,
    float: 1.0,
    bool: True,
    date: EXAMPLE_TIME.date(),
    Decimal: Decimal("1.50"),
}


def example_of(event_class: type[Event]) -> Envelope[Event]:
    """A fixed message of `event_class`. Raises `ContractError` naming a field without an example.

    A field takes the first of `Field(examples=[…])`, its default, or a value by its type.
    """
    try:
        event = event_class(**_values(event_class))
    except ValidationError as error:
        field = error.errors(include_url=False)[0]["loc"][0]
        raise _no_example(f"{event_class.__name__}.{field}") from None
    return Envelope(
        id=EVENT_ID,
        source=f"/{event_class.producer}",
        type=event_class.type,
        subject=event.subject,
        time=EXAMPLE_TIME,
        correlationid=event.subject,
        data=event,
    )


def _values(model: type[BaseModel]) -> dict[str, Any]:
    return {
        name: field.examples[0]
        if field.examples
        else _of_type(f"{model.__name__}.{name}", field.annotation)
        for name, field in model.model_fields.items()
        if field.examples or field.is_required()
    }


def _of_type(name: str, annotation: Any) -> Any:
    if annotation in BY_TYPE:
        return BY_TYPE[annotation]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation(**_values(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return next(iter(annotation))
    return _of_generic(name, annotation)


def _of_generic(name: str, annotation: Any) -> Any:
    """An example of `Optional[…]`, `list[…]` and their like: of the first type inside."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _of_type(name, inside[0])
    if origin in {Union, types.UnionType}:
        return _of_type(name, inside[0])
    if origin in {tuple, list, set, frozenset}:
        return [_of_type(name, inside[0])]
    if origin is dict:
        return {}
    if origin is Literal:
        return inside[0]
    raise _no_example(name)


def _no_example(name: str) -> ContractError:
    return ContractError(f"{name}: give it an example, Field(examples=[…])")
