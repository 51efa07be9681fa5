"""A message as it arrived, read or with the fault that made it unreadable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from admit_one.contract.envelope import Envelope, Seal
from admit_one.contract.errors import Malformed, UnknownEvent, UnknownKey, sent_by

from . import peers

Identity = tuple[str, str]
"""(event id, source): identifies an event forever."""


@dataclass(frozen=True)
class Received:
    """One message as it arrived, with its envelope, or the fault that made it unreadable."""

    body: bytes
    queue: str
    headers: Mapping[str, Any] = field(default_factory=dict)
    signature: str = ""
    received_at: datetime | None = None
    """When it came first, if that is known; else now."""
    envelope: Envelope[Any] | None = None
    fault: Malformed | UnknownEvent | UnknownKey | None = None
    broken: str = ""
    """The fault of the AMQP properties, if they are unreadable."""

    @classmethod
    def read(
        cls,
        body: bytes,
        *,
        queue: str,
        headers: Mapping[str, Any] | None = None,
        broken: str = "",
        signature: str = "",
        received_at: datetime | None = None,
        unseal: Seal = peers.unseal,
    ) -> Received:
        """Read `body`, and keep its fault, if any. `broken` is a fault of its AMQP properties."""
        read = partial(cls, body, queue, headers or {}, signature, received_at)
        try:
            if broken:
                raise Malformed(broken)
            return read(Envelope.from_json(body, unseal))
        except (Malformed, UnknownEvent, UnknownKey) as fault:
            return read(fault=fault, broken=broken)
        except Exception as error:  # noqa: BLE001 (a bug of our reader must cost one message only)
            return read(fault=Malformed(f"reading it failed with {type(error).__name__}"))

    @property
    def identity(self) -> Identity | None:
        return (self.envelope.id, self.envelope.source) if self.envelope else None

    @property
    def sender(self) -> str:
        """Its type and source, as faults name them; empty if it is unreadable."""
        return sent_by(self.envelope.type, self.envelope.source) if self.envelope else ""
