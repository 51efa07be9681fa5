"""Whether we can read a message's body, by its AMQP properties, and if not, why."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from admit_one.contract.envelope import CONTENT_TYPE
from admit_one.messaging.broker import amqp_patches

READABLE_TYPES = {CONTENT_TYPE, "application/json"}
READABLE_ENCODINGS = {"utf-8", "utf8", "identity"}
LONGEST_QUOTE = 80


def fault_of(properties: Mapping[str, Any]) -> str:
    """Why a body with these properties is not to be read, in words for people; else nothing.

    A property that is not there says nothing against the body. One that is there is believed:
    a body in another form could be read as JSON by accident, and then as something else.
    """
    headers = properties.get("application_headers") or {}
    if broken := headers.get(amqp_patches.BROKEN_PROPERTIES):
        return f"its AMQP properties are unreadable: {broken}"
    return _fault(
        str(properties.get("content_type") or CONTENT_TYPE),
        str(properties.get("content_encoding") or "utf-8"),
    )


@lru_cache(maxsize=16)  # nearly all messages have the same
def _fault(content_type: str, encoding: str) -> str:
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if kind not in READABLE_TYPES:
        return f"content_type: expected {CONTENT_TYPE}, got {_quoted(content_type)}"
    charsets = [p.partition("=")[2].strip('"') for p in parameters if p.startswith("charset=")]
    for name in (*charsets, encoding):
        if name.lower() not in READABLE_ENCODINGS:
            return f"content_encoding: expected utf-8 and nothing compressed, got {_quoted(name)}"
    return ""


def _quoted(text: str) -> str:
    return ascii(text[:LONGEST_QUOTE])
