"""What the fields of events are made of: each kind of value, and what is taken for one."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, PlainSerializer

MAX_AMOUNT = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (RFC 8259, section 6)."""

EMAIL_PATTERN = r"^[^@\s<>(),:;\"\\\[\]\x00-\x1f\x7f]{1,64}@[^@\s<>(),:;\"\\\[\]\x00-\x1f\x7f]+$"
"""One address and nothing else: no list, no display name, no line break (RFC 5321 lengths)."""


def _number_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:]{8}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def _only_rfc3339(value: Any) -> Any:
    """A number could be seconds or milliseconds, a date could be any hour of it: no guessing."""
    if isinstance(value, datetime) or (isinstance(value, str) and _RFC3339.fullmatch(value)):
        return value
    raise ValueError("expected a date, time and offset as in RFC 3339")


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("expected a moment of the years 1 to 9999 in UTC") from None


def _to_rfc3339(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


Visible = Annotated[
    str,
    Field(min_length=1, max_length=64, pattern=r"^[^\s\x00-\x1f\x7f]+$", examples=["gold"]),
]
"""A word of visible characters, without spaces."""
UserId = Annotated[
    str,
    BeforeValidator(_number_as_text, json_schema_input_type=str | int),
    Field(min_length=1, max_length=64, pattern=r"^[^\s\x00-\x1f\x7f]+$", examples=["user-42"]),
]
"""What another system calls its user; a number is taken as its decimal text."""
Email = Annotated[str, Field(max_length=254, pattern=EMAIL_PATTERN, examples=["ada@example.com"])]
Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_only_rfc3339),
    AfterValidator(_in_utc),
    PlainSerializer(_to_rfc3339, when_used="json"),
    Field(examples=[datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)]),
]
"""A point in time, in UTC."""
Amount = Annotated[int, Field(ge=0, le=MAX_AMOUNT, strict=True, examples=[4900])]
"""In minor units of a currency."""
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", examples=["EUR"])]
"""ISO 4217."""
