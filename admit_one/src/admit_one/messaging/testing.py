"""For the services' own tests: what was published, and an event delivered as the consumer would.

published()                     the envelopes in the outbox, oldest first
deliver(an_envelope(…))         through the inbox into this service's handlers
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeVar

from shared_contracts.events import (
    AccessCodeCreated,
    AccessCodeRestored,
    AccessCodeRevoked,
    AccessCodeUndeliverable,
    AccessDigest,
    AccessDigestRequested,
    AccessGrantReported,
    AccessGrantsRequested,
    Event,
    SubscriptionCancelled,
    UserSubscribed,
)
from uuid_utils import uuid7

from admit_one.contract.envelope import Envelope
from admit_one.sealing import cipher

from . import conf, inbox
from .inbox import Outcome
from .models import OUTBOX_PURPOSE, OutboxMessage

E = TypeVar("E", bound=Event)

A_GRANT: dict[str, Any] = {
    "run_id": "019b7c5f-0000-7000-8000-000000000001",
    "user_id": "user-42",
    "email": "ada@example.com",
    "plan": "gold",
    "amount": 4900,
    "currency": "EUR",
    "occurred_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "access_code": "7K3M-Q9TX-2WBD-H5RN",
    "issued_at": datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC),
}

EXAMPLES: dict[type[Event], dict[str, Any]] = {
    UserSubscribed: {
        "user_id": "user-42",
        "email": "ada@example.com",
        "plan": "gold",
        "amount": 4900,
        "currency": "EUR",
        "occurred_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    },
    AccessCodeCreated: {
        "user_id": "user-42",
        "access_code": "7K3M-Q9TX-2WBD-H5RN",
        "issued_at": datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC),
    },
    AccessCodeUndeliverable: {
        "reason": "550 no such user",
        "failed_at": datetime(2026, 1, 2, 3, 4, 9, tzinfo=UTC),
    },
    SubscriptionCancelled: {"cancelled_at": datetime(2026, 2, 2, 3, 4, 5, tzinfo=UTC)},
    AccessCodeRevoked: {"revoked_at": datetime(2026, 2, 2, 3, 4, 6, tzinfo=UTC)},
    AccessDigestRequested: {
        "since": datetime(2026, 1, 1, tzinfo=UTC),
        "until": datetime(2026, 1, 3, tzinfo=UTC),
        "limit": 1_000,
    },
    AccessDigest: {"entries": []},
    AccessGrantsRequested: {"subscription_ids": ["019b7c5e-29f8-7b52-8a41-0c9d3e7f2a10"]},
    AccessGrantReported: A_GRANT,
    AccessCodeRestored: A_GRANT,
}


def an_event(event_class: type[E], **changes: Any) -> E:
    """An example of `event_class` about something new, with `changes`."""
    fields = {event_class.about: str(uuid7()), **EXAMPLES[event_class], **changes}
    return event_class(**fields)


def an_envelope(event_class: type[E], **changes: Any) -> Envelope[E]:
    """The example in a new envelope."""
    return Envelope.of(an_event(event_class, **changes))


def published() -> list[Envelope[Any]]:
    """All that the outbox holds, oldest first."""
    return [
        Envelope.from_json(cipher.unseal(body, OUTBOX_PURPOSE))
        for body in OutboxMessage.objects.order_by("id").values_list("body", flat=True)
    ]


def deliver(*messages: Envelope[Any] | bytes) -> list[Outcome]:
    """Handle `messages` as one batch; what became of each, in order. Bytes stand for themselves."""
    bodies = [m if isinstance(m, bytes) else m.to_json() for m in messages]
    received = [inbox.Received.read(body, queue="test") for body in bodies]
    return inbox.process(received, conf.handlers())
