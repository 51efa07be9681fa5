"""Examples of webhooks, for the API's description."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiExample

ID = "0195f7c4-8d2e-7a31-b8a5-2f6c1d9e4b72"
EVENT = settings.WEBHOOK_EVENTS[0]
URL = "https://shop.example.com/hooks/admit-one"

ENDPOINT = {
    "id": ID,
    "url": URL,
    "events": [EVENT],
    "created_at": "2026-01-02T03:04:05.678901Z",
    "previous_secret_until": None,
    "failing_since": None,
    "disabled_at": None,
    "disabled_reason": None,
}
SECRET = {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAAAAAAAAAAA="}
DELIVERY = {
    "id": "0195f7c4-9e1b-7c02-a3d4-5b6c7d8e9f01",
    "type": EVENT,
    "state": "delivered",
    "attempts": 1,
    "created_at": "2026-01-02T03:04:06.123456Z",
    "next_attempt_at": None,
    "finished_at": "2026-01-02T03:04:06.234567Z",
    "last_status": 204,
    "last_error": None,
}
WAITING = {
    **DELIVERY,
    "state": "pending",
    "attempts": 0,
    "next_attempt_at": "2026-01-02T03:04:06.123456Z",
    "finished_at": None,
    "last_status": None,
}


def _answer(name: str, status: str, value: dict[str, Any]) -> OpenApiExample:
    return OpenApiExample(name, value, response_only=True, status_codes=[status])


NEW = OpenApiExample("one type", {"url": URL, "events": [EVENT]}, request_only=True)
MOVED = OpenApiExample("another URL", {"url": f"{URL}/2"}, request_only=True)
CREATED = _answer("made", "201", {**ENDPOINT, **SECRET})
ROTATED = _answer(
    "rotated",
    "200",
    {**ENDPOINT, "previous_secret_until": "2026-01-03T03:04:05.678901Z", **SECRET},
)
SHOWN = _answer("one", "200", ENDPOINT)
CHANGED = _answer("changed", "200", {**ENDPOINT, "url": f"{URL}/2"})
PAGE = _answer("all", "200", {"results": [ENDPOINT], "next": None})
TEST_SENT = _answer("waiting", "202", {**WAITING, "type": "webhook.test"})
SENT_AGAIN = _answer("waiting", "202", {**WAITING, "attempts": 9})
DELIVERIES = _answer("the newest", "200", {"results": [DELIVERY], "next": None})
