"""AMQP properties as bytes: the form they have on RabbitMQ's wire, by py-amqp's own code.

So both brokers take, refuse and give back exactly the same.
"""

from __future__ import annotations

from typing import Any

import amqp

EXPIRATION = 0x0100


class _Wire(amqp.Message):
    """py-amqp keeps the two halves of its codec to subclasses, and from its type stubs."""

    def pack(self) -> bytes:
        packed: bytes = self._serialize_properties()  # type: ignore[attr-defined]
        return packed

    def unpack(self, packed: bytes) -> dict[str, Any]:
        self._load_properties(self.CLASS_ID, packed, 0)  # type: ignore[attr-defined]
        properties: dict[str, Any] = self.properties
        return properties


def pack_properties(properties: dict[str, Any]) -> bytes:
    """The properties as bytes; py-amqp's errors for what AMQP cannot carry."""
    return _Wire(**properties).pack()


def unpack_properties(packed: bytes) -> dict[str, Any]:
    """What `pack_properties` packed."""
    return _Wire().unpack(packed)


def expiration(packed: bytes) -> float | None:
    """The message's own time to live in milliseconds; unpacks only where its flag is set."""
    if not int.from_bytes(packed[:2], "big") & EXPIRATION:
        return None
    return float(unpack_properties(packed)["expiration"])
