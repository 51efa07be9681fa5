"""Decides by a message's AMQP properties whether its body can be read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from admit_one.contract.envelope import CONTENT_TYPE
from admit_one.messaging.broker import amqp_patches

READABLE_TYPES = {CONTENT_TYPE, "application/json"}
CHARSETS = {"utf-8", "utf8", "us-ascii", "ascii"}
ENCODINGS = CHARSETS | {"identity", "binary", "7bit", "8bit"}
"""None of them changes the bytes of the body: it is JSON in UTF-8, or is refused when it is read.

Kombu writes `binary` for every body that it is given as bytes.
"""
LONGEST_QUOTE = 80

DEAD_LETTERED = {
    "expired": "it expired in its queue before a consumer took it",
    "maxlen": "its queue was full",
    "rejected": "another consumer of the queue rejected it",
}
"""Reasons in `x-death` for dead-lettering a message that killed no consumer, as shown to people."""


def fault_of(properties: Mapping[str, Any]) -> str:
    """Why a body with these properties must not be read; empty if it may be.

    A missing property is fine. One that is there is believed: a body in another encoding could
    be valid JSON by accident, with another meaning.
    """
    if broken := properties.get(amqp_patches.BROKEN_PROPERTIES):
        return f"its AMQP properties are unreadable: {broken}"
    return _fault(
        str(properties.get("content_type") or CONTENT_TYPE),
        str(properties.get("content_encoding") or "utf-8"),
    )


def dead_lettered_by_others(properties: Mapping[str, Any]) -> str:
    """Why the broker dead-lettered a message that killed no consumer; empty if it may have."""
    deaths = (properties.get("application_headers") or {}).get("x-death")
    latest = deaths[0] if isinstance(deaths, list) and deaths else None
    return DEAD_LETTERED.get(str(latest.get("reason")), "") if isinstance(latest, dict) else ""


@lru_cache(maxsize=16)  # nearly all messages have the same
def _fault(content_type: str, encoding: str) -> str:
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if kind not in READABLE_TYPES:
        return f"content_type: expected {CONTENT_TYPE}, got {_quoted(content_type)}"
    charsets = [p.partition("=")[2].strip('"') for p in parameters if p.startswith("charset=")]
    wrong = [name for name in charsets if name.lower() not in CHARSETS]
    wrong += [encoding] if encoding.lower() not in ENCODINGS else []
    if wrong:
        return f"content_encoding: expected utf-8 and nothing compressed, got {_quoted(wrong[0])}"
    return ""


def _quoted(text: str) -> str:
    return ascii(text[:LONGEST_QUOTE])
