"""Examples of what the API takes and answers, for its description."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample

ID = "0195f7c4-8d2e-7a31-b8a5-2f6c1d9e4b70"
PAID = {
    "user_id": "user-42",
    "email": "ada@example.com",
    "plan": "gold",
    "amount": 4900,
    "currency": "EUR",
}


def _shown(**changes: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(
        (
            *("access_code", "access_code_failure", "problem", "emailed_at", "mail_failure"),
            *("resend", "expiring_soon_at", "reason", "valid_from", "valid_until", "uses"),
            *("redeemed_at", "past_due_at"),
            *("refunded_at", "cancelled_at", "code_revoked_at"),
        )
    )
    return {
        "id": ID,
        **PAID,
        "language": None,
        "order": None,
        "reference": None,
        "metadata": {},
        "status": "pending",
        **nothing,
        "uses_made": 0,
        "suspended": False,
        "terms_applied": True,
        "created_at": "2026-01-02T03:04:05.678901Z",
        "updated_at": "2026-01-02T03:04:05.679012Z",
        **changes,
    }


CODE = "7K3M-Q9TX-2WBD-H5RN"
LATER = "2026-02-03T04:05:06.789012Z"
WITH_CODE = {"access_code": CODE, "updated_at": "2026-01-02T03:04:05.713524Z"}


def _changed(status: str, **changes: Any) -> OpenApiExample:
    shown = _shown(status=status, access_code=CODE, updated_at=LATER, **changes)
    return OpenApiExample(status, shown, response_only=True, status_codes=["202"])


NEW = OpenApiExample("gold", PAID, request_only=True)
PENDING = OpenApiExample("pending", _shown(), response_only=True, status_codes=["202"])
ACTIVE = OpenApiExample(
    "active", _shown(status="active", **WITH_CODE), response_only=True, status_codes=["200"]
)
WHY = OpenApiExample("why", {"reason": "card expired"}, request_only=True)
PAID_UNTIL = OpenApiExample("a month", {"valid_until": "2026-03-02T00:00:00Z"}, request_only=True)
CORRECTED = OpenApiExample(
    "a corrected address",
    {"email": "ada@example.org", "reason": "she moved to another provider"},
    request_only=True,
)
OF_CHANGES = {
    "resend_access_code": [
        CORRECTED,
        _changed(
            "active",
            email="ada@example.org",
            reason="she moved to another provider",
            resend={"requested_at": LATER, "answered_at": None, "refused": None},
        ),
    ],
    "cancel_subscription": [WHY, _changed("cancelled", cancelled_at=LATER)],
    "refund_subscription": [WHY, _changed("refunded", cancelled_at=LATER, refunded_at=LATER)],
    "mark_past_due": [WHY, _changed("past_due", past_due_at=LATER, reason="card expired")],
    "renew_subscription": [
        PAID_UNTIL,
        _changed("active", valid_until="2026-03-02T00:00:00Z", terms_applied=False),
    ],
}
"""By operation: a request, and its answer."""

PAGE = OpenApiExample(
    "the newest",
    {
        "results": [_shown(status="active", **WITH_CODE | {"access_code": "****-****-****-H5RN"})],
        "next": "/v1/subscriptions?limit=1&cursor=A4-qQ0cM1dQBlffEjS56MbilL2wdnktw",
    },
    response_only=True,
    status_codes=["200"],
)

LINKS = {
    name: {
        "operationId": name,
        "parameters": {"subscription_id": "$response.body#/id"},
        "description": "By its `id`.",
    }
    for name in ("show_subscription", *OF_CHANGES)
}
"""What can follow an answer with one subscription."""
