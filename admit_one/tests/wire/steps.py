"""Messages as JSON, and what is answered to them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from admit_one.contract.envelope import Envelope
from admit_one.contract.errors import Malformed
from admit_one.messaging.testing import an_envelope

from tests.contract.events import UserSubscribed


def wire(event_class=UserSubscribed, **changes) -> dict[str, Any]:
    """A good message as a JSON object, with top-level `changes` (None takes a field away)."""
    message = json.loads(an_envelope(event_class).to_json())
    message.update(changes)
    return {name: value for name, value in message.items() if value is not None}


def with_data(**changes) -> bytes:
    message = wire()
    message["data"].update(changes)
    return json.dumps(message).encode()


def read(message: object) -> Envelope[Any]:
    return Envelope.from_json(json.dumps(message).encode())


def refusal(raw: bytes) -> str:
    with pytest.raises(Malformed) as caught:
        Envelope.from_json(raw)
    return str(caught.value)


def error_of(raw: bytes) -> str:
    """All that the error, if there is one, could put into a log."""
    try:
        Envelope.from_json(raw)
    except Malformed as error:
        return f"{error} {error!r} {error.__cause__!r}"
    return ""
