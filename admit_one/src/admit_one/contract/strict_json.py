"""Strict JSON (RFC 8259): anything that two parsers could read differently is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from .errors import Malformed

MAX_BYTES = 256 * 1024
"""The largest message, out and in. An event is a few hundred bytes; send files some other way."""

MAX_DEPTH = 100
"""Levels of arrays and objects. Python's own limit differs from one version to the next."""

_TOO_DEEP = f"the body is nested too deeply: expected at most {MAX_DEPTH} levels"


def loads(raw: bytes, *, whole_floats: bool = False) -> Any:
    """The value in `raw`. Raises `Malformed`, which names the fault and never quotes the input.

    With `whole_floats`, `1.0` is the integer 1, as JSON Schema and most other languages have it.
    """
    if not raw:
        raise Malformed("the body is empty")
    if len(raw) > MAX_BYTES:
        raise Malformed(f"the body has {len(raw):,} bytes, expected at most {MAX_BYTES:,}")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"the body is not UTF-8 (byte {error.start})", kind="not UTF-8") from None
    if text.startswith("\ufeff"):
        raise Malformed("the body is not JSON: it begins with a byte order mark", kind="not JSON")
    try:
        value = (_WHOLE_FLOATS if whole_floats else _DECODER).decode(text)
        if text.count("[") + text.count("{") > MAX_DEPTH:
            _refuse_depth(value)
        if "\\u" in text:
            _refuse_unstorable(value)
    except json.JSONDecodeError as error:
        raise Malformed(
            f"the body is not JSON: {error.msg} at character {error.pos}", kind="not JSON"
        ) from None
    except RecursionError:
        raise Malformed(_TOO_DEEP) from None
    except ValueError:  # CPython refuses integers of more than 4,300 digits
        raise Malformed("the body contains a number with too many digits") from None
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("an object in the body has a key twice")
    return members


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise Malformed("the body contains a number that is too large")
    return number


def _whole_or_finite(digits: str) -> float:
    number = _finite(digits)
    return int(number) if number.is_integer() else number


def _refuse_constant(name: str) -> NoReturn:
    raise Malformed(f"the body contains {name}, which is not JSON")


def _decoder(parse_float: Callable[[str], float]) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=_unique_keys, parse_constant=_refuse_constant, parse_float=parse_float
    )


# `json.loads` would build a decoder for each text: a third of the cost of reading it.
_DECODER, _WHOLE_FLOATS = _decoder(_finite), _decoder(_whole_or_finite)


def _refuse_depth(value: Any) -> None:
    level = _containers([value])
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in _containers(outer.values() if isinstance(outer, dict) else outer)
        ]
    if level:
        raise Malformed(_TOO_DEEP)


def _containers(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, (dict, list))]


def _refuse_unstorable(value: Any) -> None:
    """Refuse NUL and lone surrogates, which no database takes as text. JSON must escape them."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise Malformed("a string in the body contains NUL or half a surrogate pair")
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_unstorable(key)
            _refuse_unstorable(item)
    elif isinstance(value, list):
        for item in value:
            _refuse_unstorable(item)
