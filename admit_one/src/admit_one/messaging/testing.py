"""For tests of services: read published events, and deliver one as the consumer does.

published()                     the envelopes in the outbox, oldest first
deliver(an_envelope(…))         through the inbox into this service's handlers
"""

from __future__ import annotations

from typing import Any, TypeVar

from uuid_utils import uuid7

from admit_one.contract import Event
from admit_one.contract.envelope import Envelope
from admit_one.sealing import cipher

from . import conf, inbox
from .inbox import Outcome
from .models import OUTBOX_PURPOSE, OutboxMessage

E = TypeVar("E", bound=Event)


def golden(event_class: type[Event]) -> bytes:
    """The golden message of `event_class`. Raises `ContractError` if there is none."""
    return conf.current().contract.golden(event_class)


def an_event(event_class: type[E], **changes: Any) -> E:
    """The golden example of `event_class` with a new subject and `changes`."""
    example = Envelope.from_json(golden(event_class)).data
    fields = dict(example) | {event_class.about: str(uuid7())} | changes
    return event_class(**fields)


def an_envelope(event_class: type[E], **changes: Any) -> Envelope[E]:
    """`an_event` in a new envelope."""
    return Envelope.of(an_event(event_class, **changes))


def published() -> list[Envelope[Any]]:
    """All that the outbox holds, oldest first."""
    return [
        Envelope.from_json(cipher.unseal(body, OUTBOX_PURPOSE, event_id))
        for body, event_id in OutboxMessage.objects.order_by("id").values_list("body", "event_id")
    ]


def deliver(*messages: Envelope[Any] | bytes) -> list[Outcome]:
    """Handle `messages` as one batch, bytes as they are; returns an outcome for each, in order."""
    bodies = [m if isinstance(m, bytes) else m.to_json() for m in messages]
    received = [inbox.Received.read(body, queue="test") for body in bodies]
    return inbox.process(received, conf.handlers())
