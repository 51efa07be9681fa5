"""JSON that two parsers could read differently is refused, whatever the bytes."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from admit_one.contract import strict_json
from admit_one.contract.errors import Malformed
from hypothesis import given
from hypothesis import strategies as st

DEEP = 100_000

REFUSED = {
    "empty": (b"", "is empty"),
    "only blanks": (b"  ", "not JSON"),
    "truncated": (b'{"a": 1', "not JSON"),
    "two values": (b"{} {}", "not JSON"),
    "not UTF-8": (b'{"a": "\xff"}', "not UTF-8 (byte 7)"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
    "byte order mark": (b'\xef\xbb\xbf{"a": 1}', "byte order mark"),
    "surrogate in UTF-8": (b'"\xed\xa0\x80"', "not UTF-8"),
    "deep arrays": (b"[" * DEEP, "nested too deeply"),
    "deep objects": (b'{"a":' * 20_000, "nested too deeply"),
    "deep around an escape": (b"[" * 3_000 + b'"\\u0041"' + b"]" * 3_000, "nested too deeply"),
    "long integer": (b"[" + b"9" * 5_000 + b"]", "too many digits"),
    "NaN": (b'{"a": NaN}', "NaN"),
    "Infinity": (b"[Infinity]", "Infinity"),
    "negative infinity": (b"[-Infinity]", "-Infinity"),
    "number beyond any float": (b"[1e400]", "too large"),
    "a key twice": (b'{"a": 1, "a": 2}', "a key twice"),
    "a key twice, deep": (b'[{"b": {"a": 1, "a": 1}}]', "a key twice"),
    "a key twice, once escaped": (b'{"a": 1, "\\u0061": 2}', "a key twice"),
    "NUL": (b'{"a": "\\u0000"}', "NUL"),
    "NUL in a key": (b'{"\\u0000": 1}', "NUL"),
    "half a surrogate pair": (b'["\\ud800"]', "surrogate"),
    "the other half": (b'["\\udfff"]', "surrogate"),
    "raw control character": (b'{"a": "\n"}', "not JSON"),
    "compressed": (b"\x1f\x8b\x08\x00\x00", "not UTF-8"),
    "pickle": (b"\x80\x04K\x01.", "not UTF-8"),
    "too long": (b'"' + b"x" * strict_json.MAX_BYTES + b'"', "262,146 bytes"),
}


@pytest.mark.parametrize(("raw", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_unsafe_json_is_refused_with_the_reason(raw, says):
    with pytest.raises(Malformed) as caught:
        strict_json.loads(raw)

    assert says in str(caught.value)


@pytest.mark.parametrize("inner", [b"1", b'"\\u00e4"', b'"[["'])
@pytest.mark.parametrize(("begin", "end"), [(b"[", b"]"), (b'{"a":', b"}"), (b"[[],", b",{}]")])
def test_the_depth_of_nesting_is_limited_alike_on_every_python(begin, end, inner):
    def nested(depth):
        return begin * depth + inner + end * depth

    sides = begin != b"[" and begin.startswith(b"[")  # which are one level deeper
    deepest = strict_json.MAX_DEPTH - sides

    assert strict_json.loads(nested(deepest))
    for depth in (deepest + 1, 500, 990, 1_000, 20_000):
        with pytest.raises(Malformed, match="nested too deeply"):
            strict_json.loads(nested(depth))


@given(st.binary(max_size=200))
def test_any_bytes_are_either_read_or_refused(raw):
    with suppress(Malformed):
        strict_json.loads(raw)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), inner
        )
    ),
)


@given(json_values, st.booleans())
def test_valid_json_is_read_as_the_standard_library_reads_it(value, escaped):
    raw = json.dumps(value, ensure_ascii=escaped).encode()

    assert strict_json.loads(raw) == value


def test_an_object_that_resembles_python_stays_plain_data():
    assert strict_json.loads(b'{"__type__": "uuid", "__value__": "x"}') == {
        "__type__": "uuid",
        "__value__": "x",
    }
