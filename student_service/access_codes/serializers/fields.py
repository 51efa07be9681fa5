"""Fields that accept a value as it is, or refuse it."""

from __future__ import annotations

from typing import Any

from admit_one.contract import patterns
from admit_one.web import Line, VisibleText
from rest_framework import serializers

LONGEST_TYPED = 64
"""Characters of a code as somebody typed it: four times what it needs, with every separator."""

LONGEST_REASON = 1_000


class TypedCode(serializers.CharField):
    """A code as somebody typed it. Whether it is one is a question, not a fault of the request."""

    default_error_messages = {  # noqa: RUF012 (DRF's way)
        "invalid": "expected a string",
        "max_length": "expected at most {max_length} characters",
        "required": "expected a value, got none",
        "null": "expected a value, got null",
    }

    def __init__(self) -> None:
        super().__init__(
            allow_blank=True,
            trim_whitespace=False,
            max_length=LONGEST_TYPED,
            help_text="as somebody typed it: case, spaces, hyphens, O for 0, I and L for 1, and "
            "full-width characters do not matter",
        )

    def to_internal_value(self, data: Any) -> str:
        """`data`, if it is a text; numbers are not made into one."""
        if not isinstance(data, str):
            self.fail("invalid")
        return data


class UserIdField(VisibleText):
    """Opaque text; a JSON integer is read as its digits, as when the subscription was recorded."""

    READS_INTEGERS = True

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(str(data) if type(data) is int else data)


class ReasonField(Line):
    """Why a person does something, in one line."""

    PATTERN = SEEN = patterns.SAID

    def __init__(self) -> None:
        super().__init__(max_length=LONGEST_REASON, help_text="why; kept on record")
