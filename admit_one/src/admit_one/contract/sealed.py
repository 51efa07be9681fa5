"""Fields that only one service can read: a field's type, and what is written in its place.

    class AccessCodeCreated(Event):
        sealed_for = "payment_service"
        sensitive = frozenset({"access_code"})

        access_code: Sealed[Code]

On the wire such a field is its value, or a sealed text that only its reader can open; which of
them depends on whether the sender has a key of the reader. The reader's handlers only ever see the
value; anybody else sees the sealed text. `admit_one.trust` seals and opens.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

T = TypeVar("T")

PATTERN = r"^sealed[.]v1[.][0-9A-Za-z]{1,16}[.][0-9A-Za-z]{1,16}[.][0-9A-Za-z_-]{38,}$"
"""The ids of the sender's and the reader's key, then nonce and ciphertext in URL-safe base64."""

_SEALED = re.compile(PATTERN)


def is_sealed(value: object) -> bool:
    """Whether `value` has the form of a sealed text."""
    return isinstance(value, str) and _SEALED.fullmatch(value) is not None


class OrSealed:
    """Marks a field that takes a sealed text, too."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(_unless_sealed, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [handler(schema), {"type": "string", "pattern": PATTERN}]}


@cache
def sealed_fields(model: type[BaseModel]) -> tuple[str, ...]:
    """The names of the fields of the type `Sealed`."""
    return tuple(
        name
        for name, field in model.model_fields.items()
        if any(isinstance(mark, OrSealed) for mark in field.metadata)
    )


def _unless_sealed(value: Any, validate: Callable[[Any], Any]) -> Any:
    return value if is_sealed(value) else validate(value)


Sealed = Annotated[T, OrSealed()]
"""A text of the type `T` that only the field's reader can read."""
