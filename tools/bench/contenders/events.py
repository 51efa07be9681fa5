"""The two messages as plain dictionaries, as large as ours on the wire."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

Message = dict[str, Any]

PLAN = "pro-monthly"


def a_subscription(number: int) -> dict[str, Any]:
    """The body of a POST."""
    return {
        "user_id": f"user-{number}",
        "email": f"student-{number}@example.com",
        "plan": PLAN,
        "amount": 1990,
        "currency": "EUR",
    }


def user_subscribed(subscription_id: UUID, posted: Mapping[str, Any]) -> Message:
    data = {"subscription_id": str(subscription_id), **posted, "occurred_at": _now()}
    return _envelope("user_subscribed", "/payment_service", data)


def access_code_created(cause: Message, code: str) -> Message:
    data = {
        "subscription_id": cause["subject"],
        "user_id": cause["data"]["user_id"],
        "access_code": code,
        "issued_at": _now(),
    }
    message = _envelope("access_code_created", "/student_service", data)
    return message | {"causationid": cause["id"]}


def new_code() -> str:
    text = base64.b32encode(secrets.token_bytes(10)).decode()
    return "-".join((text[:4], text[4:8], text[8:12], text[12:]))


def to_wire(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def _envelope(event_type: str, source: str, data: dict[str, Any]) -> Message:
    return {
        "specversion": "1.0",
        "id": str(uuid7()),
        "source": source,
        "type": event_type,
        "subject": data["subscription_id"],
        "time": _now(),
        "datacontenttype": "application/json",
        "correlationid": data["subscription_id"],
        "data": data,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
