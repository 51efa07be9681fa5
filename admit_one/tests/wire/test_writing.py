"""What we write, others can read, and nothing wrong is written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import jsonschema
import pytest
from admit_one.contract import schemas
from admit_one.contract.envelope import CONTENT_TYPE, Envelope
from admit_one.contract.registry import EVENTS
from admit_one.messaging.testing import an_envelope, an_event
from cloudevents.core.bindings.rabbitmq import RabbitMQMessage, from_rabbitmq_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.contract.events import AccessCodeCreated, UserSubscribed
from tests.wire.steps import refusal, wire

EVENT_TYPES = sorted(EVENTS)

visible = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters="\x7f"), min_size=1, max_size=64
)

moments = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001 (hypothesis adds the zone)
    max_value=datetime(9000, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-9))]),
)

subscribed = st.builds(
    UserSubscribed,
    subscription_id=st.uuids(),
    user_id=visible,
    email=st.just("ada@example.com") | st.just("Ünï.cödé+x@exämple.org"),
    plan=visible,
    amount=st.integers(0, 2**53 - 1),
    currency=st.from_regex(r"\A[A-Z]{3}\Z"),
    occurred_at=moments,
)


@given(subscribed)
def test_a_written_event_is_read_back_equal(event):
    envelope = Envelope.of(event)

    assert Envelope.from_json(envelope.to_json()) == envelope


SCHEMA = jsonschema.Draft202012Validator(
    schemas.schema_of(UserSubscribed),
    format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
)


@given(subscribed)
def test_the_schema_accepts_everything_we_write(event):
    SCHEMA.validate(json.loads(Envelope.of(event).to_json()))


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_the_cloudevents_sdk_reads_what_we_write(event_type):
    envelope = an_envelope(EVENTS[event_type]).follow(an_event(EVENTS[event_type]))

    message = RabbitMQMessage(headers={}, body=envelope.to_json(), content_type=CONTENT_TYPE)
    event = from_rabbitmq_event(message)

    assert event.get_id() == envelope.id
    assert event.get_source() == envelope.source
    assert event.get_type() == envelope.type
    assert event.get_subject() == envelope.subject
    assert event.get_time() == envelope.time
    assert event.get_datacontenttype() == "application/json"
    assert event.get_extension("correlationid") == envelope.correlationid
    assert event.get_extension("causationid") == envelope.causationid
    assert event.get_data() == envelope.data.model_dump(mode="json")


def test_we_read_what_the_cloudevents_sdk_writes():
    data = an_event(UserSubscribed)
    subject = str(data.subscription_id)
    event = CloudEvent(
        {
            "id": "any text will do",
            "source": "/payment_service",
            "type": "user_subscribed",
            "subject": subject,
            "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            "correlationid": subject,
            "dataschema": "https://example.com/is-ignored",
        },
        data.model_dump(mode="json"),
    )

    envelope = Envelope.from_json(JSONFormat().write(event))

    assert envelope.data == data
    assert envelope.id == "any text will do"


def test_a_reply_keeps_correlation_and_trace_and_names_its_cause():
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    request = Envelope.of(an_event(UserSubscribed), traceparent=trace)

    reply = request.follow(an_event(AccessCodeCreated))

    assert reply.correlationid == request.correlationid
    assert reply.causationid == request.id
    assert reply.traceparent == trace
    assert reply.id != request.id
    assert reply.source == "/student_service"


def test_writing_refuses_an_undefined_field():
    with pytest.raises(ValidationError):
        an_event(UserSubscribed, colour="red")


@pytest.mark.parametrize(
    "change",
    [
        {"amount": -1},
        {"amount": 1.5},
        {"amount": "1"},
        {"amount": True},
        {"amount": 2**53},
        {"currency": "eur"},
        {"currency": "EUR\n"},
        {"email": "ada@example.com,eve@example.com"},
        {"email": "Ada <ada@example.com>"},
        {"email": "ada@example.com\n"},
        {"email": "ada"},
        {"email": f"{'x' * 250}@example.com"},
        {"user_id": ""},
        {"user_id": "x" * 65},
        {"user_id": "two words"},
        {"user_id": True},
        {"user_id": 1.5},
        {"user_id": "nul\0"},
        {"plan": "line\nbreak"},
        {"occurred_at": datetime(2026, 1, 1)},  # noqa: DTZ001 (that is the fault)
        {"occurred_at": 1_700_000_000},
        {"occurred_at": "1700000000"},
        {"occurred_at": "2026-01-02"},
        {"occurred_at": "2026-01-02T03:04:05"},
        {"occurred_at": "2026-13-02T03:04:05Z"},
        {"occurred_at": "0001-01-01T00:00:00+14:00"},
        {"subscription_id": 5},
        {"subscription_id": "not a uuid"},
        {"subscription_id": "019b7c5e29f87b528a410c9d3e7f2a10"},
        {"subscription_id": "{019b7c5e-29f8-7b52-8a41-0c9d3e7f2a10}"},
        {"subscription_id": "urn:uuid:019b7c5e-29f8-7b52-8a41-0c9d3e7f2a10"},
    ],
    ids=str,
)
def test_a_wrong_value_is_neither_written_nor_read(change):
    with pytest.raises(ValidationError):
        an_event(UserSubscribed, **change)

    refusal(json.dumps(wire() | {"data": wire()["data"] | change}, default=str).encode())


def test_an_amount_is_written_as_an_integer():
    with pytest.raises(ValidationError):
        an_event(UserSubscribed, amount=1.0)


@pytest.mark.parametrize("code", ["7K3M-Q9TX-2WBD-H5RI", "7k3m-q9tx-2wbd-h5rn", "7K3MQ9TX2WBDH5RN"])
def test_an_access_code_has_one_wire_form(code):
    with pytest.raises(ValidationError):
        an_event(AccessCodeCreated, access_code=code)
