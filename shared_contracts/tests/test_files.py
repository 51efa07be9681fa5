"""The schemas and golden messages match the event classes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

import jsonschema
import pytest
from admit_one.contract import Envelope, Event
from admit_one.contract.envelope import CONTENT_TYPE
from admit_one.contract.package import ContractPackage
from admit_one.contract.schemas import faults
from cloudevents.core.bindings.rabbitmq import RabbitMQMessage, from_rabbitmq_event
from shared_contracts.events import UserSubscribed

CONTRACT = ContractPackage("shared_contracts")

each_event = pytest.mark.parametrize("event", CONTRACT.events, ids=lambda event: event.type)


def test_schemas_and_golden_messages_match_the_event_classes() -> None:
    assert list(faults(CONTRACT)) == []


@each_event
def test_the_golden_message_fits_its_schema(event: type[Event]) -> None:
    schema = json.loads(CONTRACT.schema_path(event).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)

    jsonschema.validate(json.loads(CONTRACT.golden(event)), schema)


@each_event
def test_the_cloudevents_sdk_reads_the_golden_message(event: type[Event]) -> None:
    golden = CONTRACT.golden(event)
    envelope = Envelope.from_json(golden)

    read = from_rabbitmq_event(RabbitMQMessage(headers={}, body=golden, content_type=CONTENT_TYPE))

    assert (read.get_id(), read.get_source(), read.get_type(), read.get_subject()) == (
        envelope.id,
        envelope.source,
        event.type,
        envelope.subject,
    )
    assert read.get_data() == envelope.data.model_dump(mode="json")


def test_the_golden_request_never_changes() -> None:
    envelope = Envelope.from_json(CONTRACT.golden(UserSubscribed))

    assert envelope == Envelope(
        id="019b7c5e-2a10-7c31-9d0e-5f4b8a6c1e01",
        source="/payment_service",
        type="user_subscribed",
        subject="019b7c5e-29f8-7b52-8a41-0c9d3e7f2a10",
        time=datetime(2026, 1, 2, 3, 4, 5, 250_000, tzinfo=UTC),
        correlationid="019b7c5e-29f8-7b52-8a41-0c9d3e7f2a10",
        data=UserSubscribed(
            subscription_id=UUID("019b7c5e-29f8-7b52-8a41-0c9d3e7f2a10"),
            user_id="user-42",
            email="ada@example.com",
            plan="gold",
            amount=4900,
            currency="EUR",
            occurred_at=datetime(2026, 1, 2, 3, 4, 5, 123_456, tzinfo=UTC),
        ),
    )
