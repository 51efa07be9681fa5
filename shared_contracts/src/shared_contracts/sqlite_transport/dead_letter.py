"""AMQP properties as bytes, and what RabbitMQ writes into the headers of a dead letter."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import amqp

EXPIRATION_FLAG = 0x0100


def pack_properties(properties: dict[str, Any]) -> bytes:
    """The properties as they travel on the wire, so that both brokers refuse and keep the same."""
    packed: bytes = amqp.Message(**properties)._serialize_properties()
    return packed


def unpack_properties(packed: bytes) -> dict[str, Any]:
    """What `pack_properties` packed."""
    message = amqp.Message()
    message._load_properties(amqp.Message.CLASS_ID, packed, 0)
    properties: dict[str, Any] = message.properties
    return properties


def expiration(packed: bytes) -> float | None:
    """The message's own time to live in milliseconds; unpacks only where there is one."""
    if not int.from_bytes(packed[:2], "big") & EXPIRATION_FLAG:
        return None
    return float(unpack_properties(packed)["expiration"])


def dead_letter_headers(
    properties: dict[str, Any], reason: str, queue: str, exchange: str, routing_key: str
) -> dict[str, Any]:
    """The properties of the dead letter: why it died, where, and how often before."""
    headers = dict(properties.get("application_headers") or {})
    deaths = [dict(death) for death in headers.get("x-death", ())]
    death = next((d for d in deaths if (d["queue"], d["reason"]) == (queue, reason)), None)
    if death is None:
        death = {"reason": reason, "queue": queue, "exchange": exchange, "count": 0}
        death |= {"routing-keys": [routing_key], "time": datetime.now(UTC)}
        if "expiration" in properties:
            death["original-expiration"] = properties["expiration"]
    else:
        deaths.remove(death)
    death["count"] += 1
    headers["x-death"] = [death, *deaths]
    for name, value in (("reason", reason), ("queue", queue), ("exchange", exchange)):
        headers.setdefault(f"x-first-death-{name}", value)
    headers.pop("x-delivery-count", None)
    kept = {key: value for key, value in properties.items() if key != "expiration"}
    return {**kept, "application_headers": headers}
