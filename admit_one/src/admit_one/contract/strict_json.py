"""JSON as RFC 8259 means it, and no further: what two readers could read differently is refused."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from .errors import Malformed

MAX_BYTES = 256 * 1024
"""The largest message, out and in. An event is a few hundred bytes; files travel elsewhere."""


def loads(raw: bytes) -> Any:
    """The value in `raw`. Raises `Malformed`, which names the fault and never quotes the input."""
    if not raw:
        raise Malformed("the body is empty")
    if len(raw) > MAX_BYTES:
        raise Malformed(f"the body has {len(raw):,} bytes, expected at most {MAX_BYTES:,}")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"the body is not UTF-8 (byte {error.start})") from None
    if text.startswith("\ufeff"):
        raise Malformed("the body is not JSON: it begins with a byte order mark")
    try:
        value = _DECODER.decode(text)
        if "\\u" in text:
            _refuse_unstorable(value)
    except json.JSONDecodeError as error:
        raise Malformed(f"the body is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise Malformed("the body is nested too deeply") from None
    except ValueError:  # CPython refuses integers of more than 4,300 digits
        raise Malformed("the body holds a number of too many digits") from None
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("an object of the body has a key twice")
    return members


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise Malformed("the body holds a number too large to be read")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise Malformed(f"the body holds {name}, which is not JSON")


# Made once: `json.loads` would make one for each text, a third of what reading it costs.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique_keys, parse_constant=_refuse_constant, parse_float=_finite
)


def _refuse_unstorable(value: Any) -> None:
    """NUL and lone surrogates can only be written as escapes; no database takes them as text."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise Malformed("a text of the body holds NUL or half a surrogate pair")
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_unstorable(key)
            _refuse_unstorable(item)
    elif isinstance(value, list):
        for item in value:
            _refuse_unstorable(item)
