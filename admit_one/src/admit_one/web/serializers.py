"""Serializers that take a value as it is written or not at all: nothing is trimmed or converted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

NAMED_AT_MOST = 64
"""Characters of an unknown field's name that an error repeats."""


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields that it does not know: a misspelt one would be lost without a word."""

    def to_internal_value(self, data: Any) -> Any:
        """The validated fields. Raises `ValidationError` naming all faults at once."""
        unknown = sorted(data.keys() - self.fields.keys()) if isinstance(data, Mapping) else []
        if not unknown:
            return super().to_internal_value(data)
        expected = ErrorDetail(f"expected only {', '.join(self.fields)}", code="unknown")
        faults: dict[str, Any] = {name[:NAMED_AT_MOST]: [expected] for name in unknown[:10]}
        try:
            super().to_internal_value(data)
        except serializers.ValidationError as error:
            faults.update(cast("dict[str, Any]", error.detail))
        raise serializers.ValidationError(faults)


class VisibleText(serializers.CharField):
    """A text of visible characters, without spaces."""

    default_error_messages = {  # noqa: RUF012 (DRF's way)
        "invalid": "expected a text",
        "invisible": "expected visible characters only, no spaces",
        "max_length": "expected at most {max_length} characters",
        "blank": "expected at least one character",
        "required": "expected a value, got none",
        "null": "expected a value, got null",
    }

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        """`data`, if it is a text; numbers are not made into one."""
        if not isinstance(data, str):
            self.fail("invalid")
        if not data.isprintable() or " " in data:
            self.fail("invisible")
        return data


class WholeNumber(serializers.IntegerField):
    """A JSON integer: no float, no boolean, no text that looks like one."""

    default_error_messages = {  # noqa: RUF012
        "invalid": "expected an integer",
        "min_value": "expected at least {min_value}",
        "max_value": "expected at most {max_value}",
        "required": "expected a value, got none",
        "null": "expected a value, got null",
    }

    def to_internal_value(self, data: Any) -> int:
        """`data`, if it is an integer."""
        if type(data) is not int:
            self.fail("invalid")
        return int(data)
