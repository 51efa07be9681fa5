"""The headers that RabbitMQ gives a dead letter: why it died, where, and how often."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

MAX_DEATHS = 2**63 - 1
"""What fits into the header. A publisher may have written that many already."""


def dead_letter_properties(
    properties: dict[str, Any], reason: str, *, queue: str, exchange: str, routing_key: str
) -> dict[str, Any]:
    """The properties of the dead letter of a message that died in `queue`."""
    headers = dict(properties.get("application_headers") or {})
    deaths = _earlier_deaths(headers.get("x-death"))
    death = next((d for d in deaths if (d["queue"], d["reason"]) == (queue, reason)), None)
    if death is None:
        death = {"reason": reason, "queue": queue, "exchange": exchange, "count": 0}
        death |= {"routing-keys": [routing_key], "time": datetime.now(UTC)}
        if "expiration" in properties:
            death["original-expiration"] = properties["expiration"]
    else:
        deaths.remove(death)
    death["count"] = min(death["count"] + 1, MAX_DEATHS)
    headers["x-death"] = [death, *deaths]
    for name, value in (("reason", reason), ("queue", queue), ("exchange", exchange)):
        headers.setdefault(f"x-first-death-{name}", value)
    kept = {key: value for key, value in properties.items() if key != "expiration"}
    return {**kept, "application_headers": headers}


def would_cycle(properties: dict[str, Any], queue: str) -> bool:
    """Whether this dead letter has been in `queue` and came back without anybody rejecting it.

    RabbitMQ drops it then: it would go round forever.
    """
    for death in properties["application_headers"]["x-death"]:
        if death["reason"] == "rejected":
            return False
        if death["queue"] == queue:
            return True
    return False


def _earlier_deaths(deaths: Any) -> list[dict[str, Any]]:
    """The valid deaths in the header; a publisher may have written anything into it."""
    if not isinstance(deaths, list):
        return []
    return [
        dict(death)
        for death in deaths
        if isinstance(death, dict)
        and isinstance(death.get("count"), int)
        and death.keys() >= {"queue", "reason"}
    ]
