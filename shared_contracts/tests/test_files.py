"""The files that other teams and other languages use say what the classes say."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

import jsonschema
import pytest
from admit_one.contract import Envelope, Event
from admit_one.contract.package import ContractPackage
from admit_one.contract.schemas import faults
from shared_contracts.events import UserSubscribed

CONTRACT = ContractPackage.load("shared_contracts")

each_event = pytest.mark.parametrize("event", CONTRACT.events, ids=lambda event: event.type)


def test_schemas_and_golden_messages_match_the_event_classes() -> None:
    assert list(faults(CONTRACT)) == []


@each_event
def test_the_schema_takes_the_golden_message(event: type[Event]) -> None:
    schema = json.loads(CONTRACT.schema_path(event).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)

    jsonschema.validate(json.loads(CONTRACT.golden(event)), schema)


def test_the_golden_request_says_what_it_always_said() -> None:
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
