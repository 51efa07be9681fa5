"""What a client calls a subscription or an order, and notes with it, for itself alone."""

from __future__ import annotations

import re
from typing import Any

from admit_one.contract import patterns
from admit_one.web import Line, VisibleText
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

MAX_REFERENCE, MAX_ENTRIES, MAX_KEY, MAX_VALUE = 128, 20, 40, 500

KEY = f"[A-Za-z0-9_.-]{{1,{MAX_KEY}}}"
KEY_TEXT = re.compile(KEY)
METADATA = {
    "type": "object",
    "maxProperties": MAX_ENTRIES,
    "propertyNames": {"pattern": f"^{KEY}$"},
    "additionalProperties": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_VALUE,
        "pattern": patterns.LINE,
    },
}


class ReferenceField(VisibleText):
    """The client's own name of a thing; several may have the same."""

    def __init__(self, help_text: str) -> None:
        super().__init__(max_length=MAX_REFERENCE, required=False, help_text=help_text)


class OwnReference(ReferenceField):
    """The same in a body, where null is none."""

    def __init__(self) -> None:
        super().__init__("your own name of it, such as an order number; lists find it by this")
        self.allow_null = True


@extend_schema_field(METADATA)
class MetadataField(serializers.Field[Any, Any, Any, Any]):
    """A flat object of texts; none is as good as an empty one."""

    default_error_messages = {  # noqa: RUF012 (DRF's way)
        "invalid": "expected a JSON object of strings",
        "max_length": f"expected at most {MAX_ENTRIES} entries",
        "entry": f"expected keys of 1 to {MAX_KEY} characters, of A-Z, a-z, 0-9, _, . and -",
    }

    def __init__(self) -> None:
        super().__init__(
            required=False,
            allow_null=True,
            help_text="your own notes: up to 20 entries, shown as they are; no secrets",
        )

    def to_internal_value(self, data: Any) -> dict[str, str]:
        """The entries. Raises `ValidationError` naming the values at fault."""
        if not isinstance(data, dict):
            self.fail("invalid")
        if len(data) > MAX_ENTRIES:
            self.fail("max_length")
        if not all(KEY_TEXT.fullmatch(key) for key in data):
            self.fail("entry")
        faults: dict[str, list[ErrorDetail]] = {}
        for key, value in data.items():
            try:
                _value.run_validation(value)
            except serializers.ValidationError as error:
                faults[key] = error.detail  # type: ignore[assignment]
        if faults:
            raise serializers.ValidationError(faults)
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class MetadataAnswer(MetadataField):
    """As it was reported; an empty object if nothing was."""

    def __init__(self) -> None:
        super().__init__()
        self.required, self.allow_null, self.help_text = True, False, "as it was reported"


_value = Line(max_length=MAX_VALUE)
