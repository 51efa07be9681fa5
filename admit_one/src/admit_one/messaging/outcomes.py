"""What became of a message, and what is refused before any handler sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from admit_one.contract import Event
from admit_one.contract.errors import (
    Malformed,
    MessagingError,
    Unauthenticated,
    UnknownEvent,
    UnknownKey,
)

from . import peers
from .conf import Handler
from .received import Received


class Result(StrEnum):
    """What became of a message. The last four are set aside."""

    HANDLED = "handled"
    DUPLICATE = "duplicate"
    UNKNOWN = "unknown"
    """No handler or no key yet: a newer release or other settings may have it."""
    MALFORMED = "malformed"
    REFUSED = "refused"
    """Nothing proves who sent it."""
    REJECTED = "rejected"


@dataclass(frozen=True)
class Outcome:
    result: Result
    error: MessagingError | None = None


def refusal(message: Received, handlers: Mapping[type[Event], Handler]) -> Outcome | None:
    """The outcome of a message that is unreadable, unknown or not proven; none if it may pass."""
    if isinstance(message.fault, Malformed):
        return Outcome(Result.MALFORMED, message.fault)
    if message.fault is not None:
        return Outcome(Result.UNKNOWN, message.fault)
    if message.envelope is not None and type(message.envelope.data) not in handlers:
        fault = UnknownEvent(f"nothing here handles {message.envelope.type}", sender=message.sender)
        return Outcome(Result.UNKNOWN, fault)
    return _unproven(message)


def _unproven(message: Received) -> Outcome | None:
    """The outcome of a signed event that its sender has not signed, or long ago; else none."""
    if message.envelope is None or not message.envelope.data.signed:
        return None
    try:
        peers.check_signature(
            message.envelope,
            message.body,
            message.signature,
            message.received_at or datetime.now(UTC),
        )
    except (Unauthenticated, UnknownKey) as fault:
        fault.sender = message.sender
        refused = isinstance(fault, Unauthenticated)
        return Outcome(Result.REFUSED if refused else Result.UNKNOWN, fault)
    return None
