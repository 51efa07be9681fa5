"""What others write, we can read; what is malformed is refused with a reason."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
from admit_one.contract.envelope import Envelope
from admit_one.contract.errors import UnknownEvent

from tests.wire.steps import read, refusal, wire


def test_reading_ignores_unknown_fields_at_every_level():
    message = wire(partitionkey="abc", sequence=7)
    message["data"]["coupon"] = {"nested": [1, 2]}

    envelope = read(message)

    assert envelope.data.user_id == "user-42"


def test_a_numeric_user_id_becomes_its_decimal_text():
    message = wire()
    message["data"]["user_id"] = 42

    assert read(message).data.user_id == "42"


@pytest.mark.parametrize("amount", ["4900.0", "49e2", "4.9E+3"])
def test_an_integer_may_be_written_as_any_json_number(amount):
    raw = json.dumps(wire()).replace("4900", amount).encode()

    assert Envelope.from_json(raw).data.amount == 4900


def test_null_equals_a_missing_attribute():
    absent = dict.fromkeys(["causationid", "traceparent", "datacontenttype", "correlationid"])

    envelope = read({**wire(), **absent})

    assert envelope.causationid is None
    assert envelope.correlationid == envelope.subject


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_datacontenttype_is_parsed_as_a_media_type(content_type):
    assert read(wire(datacontenttype=content_type)).type == "user_subscribed"


def test_an_invalid_trace_is_dropped_and_the_event_is_read():
    assert read(wire(traceparent="next-year's-format")).traceparent is None


def test_a_subscription_id_ignores_case():
    message = wire()
    lower = message["subject"]
    message["subject"] = message["data"]["subscription_id"] = lower.upper()

    envelope = read(message)

    assert envelope.subject == lower
    assert envelope.data.subscription_id == UUID(lower)


def test_an_unknown_type_may_be_known_later():
    with pytest.raises(UnknownEvent):
        read(wire(type="user_subscribed.v2"))


@pytest.mark.parametrize(
    ("message", "names"),
    [
        (wire(specversion="0.3"), "specversion"),
        (wire(specversion=None), "specversion"),
        (wire(id=None), "id"),
        (wire(id=7), "id"),
        (wire(id=""), "id"),
        (wire(id="x" * 256), "id"),
        (wire(id="line\nbreak"), "id"),
        (wire(time="yesterday"), "time"),
        (wire(time=1_700_000_000), "time"),
        (wire(source="/student_service"), "source"),
        (wire(subject="019b7c5e-29f8-7b52-8a41-0c9d3e7f2a10"), "subject"),
        (wire(datacontenttype="text/xml"), "datacontenttype"),
        (wire(datacontenttype=5), "datacontenttype"),
        (wire(data=None), "data"),
        (wire(data="text"), "data"),
        (wire(data=[]), "data"),
        ([], "expected a JSON object, got list"),
        (None, "expected a JSON object, got NoneType"),
    ],
    ids=str,
)
def test_refusing_a_malformed_envelope_names_the_fault(message, names):
    assert names in refusal(json.dumps(message).encode())
