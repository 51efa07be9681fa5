"""Serializers that accept a value as it is, or refuse it; they convert nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast
from unicodedata import category

from django.core.exceptions import ValidationError as Invalid
from django.core.validators import EmailValidator
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from admit_one.contract import patterns
from admit_one.contract.fields import LONGEST_ADDRESS, MAX_AMOUNT, mailable

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
    """A text of visible characters, without spaces. A subclass may narrow `PATTERN`."""

    PATTERN = SEEN = patterns.SEEN

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
        beyond = (c for c in data if c > "\uffff")  # which the pattern leaves out
        if data and (not re.fullmatch(self.SEEN, data) or "Cf" in map(category, beyond)):
            self.fail("invisible")
        return data


class Line(VisibleText):
    """A text in one line: visible characters and spaces."""

    PATTERN = SEEN = patterns.LINE

    default_error_messages = {"invisible": "expected one line of visible characters"}  # noqa: RUF012


class MailAddress(VisibleText):
    """One mail address, kept as it is written."""

    PATTERN, FORMAT = patterns.ASCII_EMAIL, "email"

    default_error_messages = {"email": "expected one mail address, such as ada@example.com"}  # noqa: RUF012

    def to_internal_value(self, data: Any) -> str:
        """The address. Not every server can mail beyond ASCII, and look-alikes may be a trap."""
        address = super().to_internal_value(data)
        if not re.fullmatch(self.PATTERN, address):
            self.fail("email")
        try:
            is_mailable(address)
            if len(address) <= LONGEST_ADDRESS:  # else `max_length` says more
                mailable(address)
        except (Invalid, ValueError):
            self.fail("email")
        return address


class Moment(VisibleText):
    """A time with its offset from UTC (RFC 3339)."""

    PATTERN, FORMAT = patterns.DATE_TIME, "date-time"
    SEEN = patterns.LINE

    default_error_messages = {  # noqa: RUF012
        "time": "expected a date, time and offset as in RFC 3339, such as 2026-01-02T03:04:05Z "
        "(in a URL, + is written %2B)",
    }

    def to_internal_value(self, data: Any) -> datetime:  # type: ignore[override]
        """The time, in UTC."""
        text = super().to_internal_value(data).upper()
        if not re.fullmatch(self.PATTERN, text):
            self.fail("time")
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except OverflowError:  # in UTC it is before the year 1 or after the year 9999
            self.fail("time")


def whole(data: Any) -> int | None:
    """The JSON number, if it is whole: JSON has one kind of number, and 4900.0 is 4900."""
    if type(data) is float and data.is_integer():
        return int(data)
    return data if type(data) is int else None


class WholeNumber(serializers.IntegerField):
    """A whole number of JSON: no fraction, no boolean, no text that looks like one.

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
        """`data`, if it is a whole number."""
        number = whole(data)
        if number is None:
            self.fail("invalid")
        return number


def as_text(moment: datetime | None) -> str | None:
    """The time as every answer writes it."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
