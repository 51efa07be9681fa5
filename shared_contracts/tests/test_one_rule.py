"""docs/events.md, the schemas and the reader agree on every message: one rule with three faces."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

import pytest
from admit_one.contract import Envelope, Event
from admit_one.contract.schemas import schema_of
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.borders import ABSENT, CONTRACT, Border, Message, borders, put, reader_accepts

pytestmark = pytest.mark.timeout(400)  # drawing a hundred messages takes seconds on a free machine

BORDERS = borders()
each_event = pytest.mark.parametrize("event", CONTRACT.events, ids=lambda event: event.type)
many = settings(
    max_examples=100,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

VALIDATORS = {
    event: Draft202012Validator(
        json.loads(CONTRACT.schema_path(event).read_text(encoding="utf-8")),
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )
    for event in CONTRACT.events
}


def schema_accepts(message: Message) -> bool:
    event = next(event for event in CONTRACT.events if event.type == message["type"])
    return bool(VALIDATORS[event].is_valid(message))


@pytest.mark.parametrize("border", BORDERS, ids=str)
def test_page_schema_and_reader_agree_at_each_border(border: Border) -> None:
    message = border.message()

    assert (schema_accepts(message), reader_accepts(message)) == (border.is_accepted,) * 2


def test_the_page_has_the_borders_of_every_attribute() -> None:
    named = {border.name for border in BORDERS}

    required = set(schema_of(CONTRACT.events[0])["properties"])
    assert named >= required - {"source", "type", "data"}


# from the schema

ANY_TEXT = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


def drawn_from(schema: dict[str, Any], parts: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a schema of ours accepts."""
    if "$ref" in schema:
        return drawn_from(parts[schema["$ref"].rpartition("/")[2]], parts)
    if "anyOf" in schema:
        return st.one_of([drawn_from(choice, parts) for choice in schema["anyOf"]])
    if "const" in schema:
        return st.just(schema["const"])
    anything = st.none() | st.text(ANY_TEXT) | st.integers() | st.lists(st.booleans())
    by_type = {"object": _objects, "array": _lists, "string": _texts, "integer": _integers}
    if schema.get("type") in {"null", "boolean"}:
        return st.none() if schema["type"] == "null" else st.booleans()
    return by_type[schema["type"]](schema, parts) if "type" in schema else anything


Parts = dict[str, Any]


def _objects(schema: dict[str, Any], parts: Parts) -> st.SearchStrategy[Any]:
    fields = {name: drawn_from(part, parts) for name, part in schema["properties"].items()}
    required = {name: fields.pop(name) for name in schema["required"]}
    return st.fixed_dictionaries(required, optional=fields)


def _lists(schema: dict[str, Any], parts: Parts) -> st.SearchStrategy[Any]:
    least, most = schema.get("minItems", 0), min(schema.get("maxItems", 3), 3)
    return st.lists(drawn_from(schema["items"], parts), min_size=least, max_size=most)


def _integers(schema: dict[str, Any], _: Parts) -> st.SearchStrategy[Any]:
    return st.integers(schema["minimum"], schema["maximum"])


def _texts(schema: dict[str, Any], _: Parts) -> st.SearchStrategy[Any]:
    least, most = schema.get("minLength", 0), schema.get("maxLength", 1_000)
    if "pattern" not in schema:
        return st.text(ANY_TEXT, min_size=least, max_size=most)
    texts = st.from_regex(schema["pattern"], fullmatch=True, alphabet=ANY_TEXT)
    return texts.filter(lambda text: least <= len(text) <= most and not text.endswith("\n"))


@cache
def messages_of(event: type[Event]) -> st.SearchStrategy[Message]:
    """Made once for each event: to read the patterns takes longer than to draw from them."""
    schema = schema_of(event)
    return drawn_from(schema, schema.get("$defs", {}))


@each_event
@many
@given(st.data())
def test_the_reader_accepts_what_the_schema_says(event: type[Event], data: st.DataObject) -> None:
    message = data.draw(messages_of(event))
    message["subject"] = message["data"][event.about]
    # In UTC these may be of the year 0 or 10000.
    assume(not any(day in json.dumps(message) for day in ("0001-01-01", "9999-12-31")))

    assert schema_accepts(message)
    Envelope.from_json(json.dumps(message).encode())


# from the models


@each_event
@many
@given(st.data())
def test_what_a_service_writes_again_fits_the_schema(
    event: type[Event], data: st.DataObject
) -> None:
    message = data.draw(messages_of(event))
    message["subject"] = message["data"][event.about]
    assume(reader_accepts(message))

    again = Envelope.from_json(json.dumps(message).encode()).to_json()

    VALIDATORS[event].validate(json.loads(again))


# with one change

STRANGE = [
    ABSENT, None, True, False, 0, 1, 1.5, -1, 2**53, 10**63, 10**64, -(10**63), 1e300, "", "x" * 64,
    "x" * 65, "x" * 255, "x" * 256, "\n", " ", "\ufeff", "\u0085", "\u00a0", "\u2028", "\u200b",
    "\x1c", [], {}, ["x"], {"x": 1},
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a message."""
    inside: Any = value.items() if isinstance(value, dict) else ()
    inside = enumerate(value) if isinstance(value, list) else inside
    return [place for key, part in inside for place in [(*path, key), *places(part, (*path, key))]]


def near(value: Any) -> st.SearchStrategy[Any]:
    """Values that differ a little from `value`."""
    if not isinstance(value, str):
        return st.just(value)
    odd = st.sampled_from(
        ["\n", "\r", " ", "\t", "\ufeff", "\u0085", "\u2028", "\x7f", "-", "9", "{"]
    )
    return st.one_of(
        st.sampled_from([value.upper(), value.lower(), value + "\n", value[1:], value[:-1]]),
        st.builds(lambda at, sign: value[:at] + sign + value[at:], st.integers(0, len(value)), odd),
        st.builds(
            lambda at, sign: value[:at] + sign + value[at + 1 :], st.integers(0, len(value)), odd
        ),
    )


@each_event
@many
@given(st.data())
def test_schema_and_reader_agree_on_a_message_with_one_change(
    event: type[Event], data: st.DataObject
) -> None:
    golden = json.loads(CONTRACT.golden(event))
    golden |= {"causationid": "an id", "traceparent": "anything"}
    path = data.draw(st.sampled_from(places(golden)))
    assume(path not in {("type",), ("source",)})
    before: Any = golden
    for key in path:
        before = before[key]
    values = [border.value for border in BORDERS] + STRANGE
    value = data.draw(st.sampled_from(values) | near(before))
    message = copy.deepcopy(golden)
    put(message, path, value)

    assert schema_accepts(message) == reader_accepts(message)
