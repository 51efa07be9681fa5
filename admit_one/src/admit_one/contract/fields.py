"""Types for the fields of events, and which input each accepts."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any
from unicodedata import normalize
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

from . import patterns

MAX_AMOUNT = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (RFC 8259, section 6)."""

EMAIL_PATTERN = patterns.EMAIL
"""One address and nothing else: no list, no display name, no line break (RFC 5321 lengths)."""

LONGEST_ADDRESS = 254
"""Characters (RFC 5321, with the errata)."""


def mailable(address: str) -> str:
    """The address as mail servers take it, in ASCII: the one rule for every way in and out.

    Raises `ValueError` if that is not one address, or the address of somebody else: the signs and
    dots that look like ASCII, such as a full-width comma, become ASCII when a domain is encoded.
    """
    local, _, domain = address.rpartition("@")
    # UnicodeError is a ValueError. No SMTPUTF8: too few servers relay such mail.
    encoded = domain.encode("idna").decode("ascii")
    read_back = (
        encoded.lower().encode().decode("idna")
    )  # Python knows only the prefix xn-- as it is
    if not domain.isascii() and read_back != normalize("NFC", domain).lower():
        raise ValueError("its domain is another one when it is written in ASCII")
    mailed = f"{local.encode('ascii').decode()}@{encoded}"
    if not re.fullmatch(EMAIL_PATTERN, mailed) or len(mailed) > LONGEST_ADDRESS:
        raise ValueError("it is not one address when its domain is written in ASCII")
    return mailed


def spellings(address: str) -> set[str]:
    """The ways to write an address in lower case: its domain as given, in ASCII, and read back.

    For comparing what two sides have stored: `address.lower() in spellings(other)`.
    """
    local, _, domain = address.strip().lower().rpartition("@")
    domains = {domain}
    with suppress(UnicodeError):  # then no mail goes there, and it is written in one way only
        encoded = domain.encode("idna")
        domains |= {encoded.decode("ascii"), encoded.decode("idna")}
    return {f"{local}@{each}" for each in domains}


MAX_WORD = 64


def _number_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_UUID = re.compile(patterns.UUID_TEXT)
_TIMESTAMP = re.compile(patterns.TIMESTAMP)


def _only_with_hyphens(value: Any) -> Any:
    """Refuse what other languages would not read as a UUID: braces, a URN, no hyphens."""
    if isinstance(value, UUID) or (isinstance(value, str) and _UUID.fullmatch(value)):
        return value
    raise ValueError("expected a UUID as text, 8-4-4-4-12 hexadecimal digits")


def _only_rfc3339(value: Any) -> Any:
    """Refuse to guess: a number may be seconds or milliseconds, a date may be any hour of it."""
    if isinstance(value, datetime) or (isinstance(value, str) and _TIMESTAMP.fullmatch(value)):
        return value
    raise ValueError("expected a date, time and offset as in RFC 3339")


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("expected a time in the years 1 to 9999, in UTC") from None


def _to_rfc3339(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


Uuid = Annotated[
    UUID,
    BeforeValidator(_only_with_hyphens),
    Field(json_schema_extra={"pattern": patterns.UUID_TEXT}),
]
"""Read from its one written form only, where a plain `UUID` also reads braces and URNs."""
_WORD = Field(min_length=1, max_length=MAX_WORD, pattern=patterns.WORD)
Visible = Annotated[str, _WORD, Field(examples=["gold"])]
"""A word of visible characters, without spaces."""
UserId = Annotated[
    str,
    _WORD,
    BeforeValidator(_number_as_text),
    # Said by hand: pydantic's own schema of it loses the pattern.
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": MAX_WORD,
                    "pattern": patterns.WORD,
                },
                {
                    "type": "integer",
                    "minimum": 1 - 10 ** (MAX_WORD - 1),
                    "maximum": 10**MAX_WORD - 1,
                },
            ],
            "examples": ["user-42"],
        }
    ),
    Field(examples=["user-42"]),
]
"""What another system calls its user; a number is taken as its decimal text."""
Email = Annotated[
    str, Field(max_length=LONGEST_ADDRESS, pattern=EMAIL_PATTERN, examples=["ada@example.com"])
]
Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_only_rfc3339),
    AfterValidator(_in_utc),
    PlainSerializer(_to_rfc3339, when_used="json"),
    Field(
        examples=[datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)],
        json_schema_extra={"pattern": patterns.TIMESTAMP},
    ),
]
"""A point in time, in UTC."""
Amount = Annotated[int, Field(ge=0, le=MAX_AMOUNT, strict=True, examples=[4900])]
"""In minor units of a currency."""
Currency = Annotated[str, Field(pattern=patterns.CURRENCY, examples=["EUR"])]
"""ISO 4217."""
