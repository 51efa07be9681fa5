"""Examples of orders, for the API's description."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample

from subscriptions.examples import PAID

from .counts import COUNTED

ID = "0195f7c4-8d2e-7a31-b8a5-2f6c1d9e4b71"
OWN = {"reference": "PO-7031", "metadata": {"school": "north"}}
LISTED = {
    "id": ID,
    **OWN,
    "seats": 2,
    "created_at": "2026-01-02T03:04:05.678901Z",
    "completed_at": None,
}
COMPLETE = {"completed_at": "2026-01-02T03:04:05.913524Z"}


def _counts(**counts: int) -> dict[str, int]:
    return {**dict.fromkeys(COUNTED, 0), **counts}


def _answer(name: str, status: str, value: dict[str, Any]) -> OpenApiExample:
    return OpenApiExample(name, value, response_only=True, status_codes=[status])


SEATS = [PAID | {"reference": "PO-7031-1"}, PAID | {"user_id": "user-43"}]
NEW = OpenApiExample("two seats", {"subscriptions": SEATS, **OWN}, request_only=True)
PENDING = _answer("pending", "202", {**LISTED, "counts": _counts(pending=2)})
DONE = _answer("complete", "200", {**LISTED, **COMPLETE, "counts": _counts(active=2)})
PAGE = _answer(
    "the newest",
    "200",
    {
        "results": [{**LISTED, **COMPLETE}],
        "next": "/v1/orders?limit=1&cursor=A4-qQ0cM1dQBlffEjS56MbilL2wdnktw",
    },
)

LINKS = {
    "show_order": {
        "operationId": "show_order",
        "parameters": {"order_id": "$response.body#/id"},
        "description": "By its `id`.",
    },
    "list_subscriptions": {
        "operationId": "list_subscriptions",
        "parameters": {"order": "$response.body#/id"},
        "description": "Its subscriptions.",
    },
}
"""What can follow an answer with one order."""
