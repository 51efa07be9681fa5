"""AMQP properties as bytes in their wire format, encoded by py-amqp's own code.

So both brokers accept, refuse and deliver exactly the same properties.
"""

from __future__ import annotations

import re
from typing import Any

import amqp
from amqp.exceptions import PreconditionFailed

from .queue_arguments import MAX_TIME

EXPIRATION = 0x0100


class _Wire(amqp.Message):
    """Opens py-amqp's codec, which is protected and not in its type stubs."""

    def pack(self) -> bytes:
        packed: bytes = self._serialize_properties()  # type: ignore[attr-defined]
        return packed

    def unpack(self, packed: bytes) -> dict[str, Any]:
        self._load_properties(self.CLASS_ID, packed, 0)  # type: ignore[attr-defined]
        properties: dict[str, Any] = self.properties
        return properties


def pack_properties(properties: dict[str, Any]) -> bytes:
    """The properties as bytes. Raises py-amqp's errors for what AMQP cannot carry."""
    return _Wire(**properties).pack()


def unpack_properties(packed: bytes) -> dict[str, Any]:
    """What `pack_properties` packed."""
    return _Wire().unpack(packed)


def expiration(packed: bytes) -> int | None:
    """The message's own TTL in milliseconds, or None; unpacks only if its flag is set.

    Raises `PreconditionFailed` if it is none.
    """
    if not int.from_bytes(packed[:2], "big") & EXPIRATION:
        return None
    text = str(unpack_properties(packed)["expiration"])
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) > MAX_TIME:
        raise PreconditionFailed(f"PRECONDITION_FAILED - invalid expiration {text!r}")
    return int(text)
