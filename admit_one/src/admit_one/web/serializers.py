"""Serializers that accept a value as it is, or refuse it; they convert nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from django.core.exceptions import ValidationError as Invalid
from django.core.validators import EmailValidator
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from admit_one.contract.fields import EMAIL_PATTERN, LONGEST_ADDRESS, MAX_AMOUNT, mailable

is_mailable = EmailValidator(allowlist=[])

NAMED_AT_MOST = 64
"""Characters of an unknown field's name that an error repeats."""


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses unknown fields: a misspelt one would be ignored silently."""

    default_error_messages = {  # noqa: RUF012 (DRF's way)
        "invalid": "expected a JSON object",
        "null": "expected a JSON object, got null",
    }

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
        "invalid": "expected a string",
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


class MailAddress(VisibleText):
    """One mail address, kept as it is written."""

    PATTERN, FORMAT = EMAIL_PATTERN, "email"

    default_error_messages = {"email": "expected one mail address, such as ada@example.com"}  # noqa: RUF012

    def to_internal_value(self, data: Any) -> str:
        """The address. Not every server can mail beyond ASCII, and look-alikes may be a trap."""
        address = super().to_internal_value(data)
        if not address.isascii() or not re.fullmatch(EMAIL_PATTERN, address):
            self.fail("email")
        try:
            is_mailable(address)
            if len(address) <= LONGEST_ADDRESS:  # else `max_length` says more
                mailable(address)
        except (Invalid, ValueError):
            self.fail("email")
        return address


class WholeNumber(serializers.IntegerField):
    """A JSON integer: no float, no boolean, no text that looks like one.

    By default it is at most the largest that every JSON reader keeps exactly.
    """

    default_error_messages = {  # noqa: RUF012
        "invalid": "expected an integer",
        "min_value": "expected at least {min_value}",
        "max_value": "expected at most {max_value}",
        "required": "expected a value, got none",
        "null": "expected a value, got null",
    }

    def __init__(self, *, max_value: int = MAX_AMOUNT, **options: Any) -> None:
        super().__init__(max_value=max_value, **options)

    def to_internal_value(self, data: Any) -> int:
        """`data`, if it is an integer."""
        if type(data) is not int:
            self.fail("invalid")
        return int(data)
