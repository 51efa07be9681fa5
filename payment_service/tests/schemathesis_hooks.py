"""What the description cannot say about values that belong together: Schemathesis calls it."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Send what could be valid together, if it is meant to be."""
    if case.meta is not None and not case.meta.generation.mode.is_positive:
        return
    match case.operation.label, case.query, case.body:
        case "GET /v1/subscriptions", dict() as query, _:
            query.pop("cursor", None)  # only ours are valid
            if "updated_since" in query or query.get("status") == "expired":  # another order
                query.pop("created_since", None)
                query.pop("created_until", None)
            if "metadata" in query:  # beside which only the time may stand
                for name in query.keys() - {"metadata", "created_since", "created_until", "limit"}:
                    query.pop(name)
        case "GET /v1/orders", dict() as query, _:
            query.pop("cursor", None)
        case "POST /v1/orders", _, {"subscriptions": list() as seats}:
            for seat in seats:
                if isinstance(seat, dict) and seat.get("valid_from") and seat.get("valid_until"):
                    del seat["valid_from"]
        case "POST /v1/subscriptions", _, {"valid_from": str(), "valid_until": str()}:
            del case.body["valid_from"]  # it must be the earlier one
        case "POST /v1/subscriptions/{subscription_id}/resend", _, body:
            case.headers.pop("Idempotency-Key", None)  # one for each body, also for none
            if isinstance(body, dict) and not body.get("reason"):
                body.pop("email", None)  # which needs a reason


@schemathesis.hook("before_call")
def before_call_about_webhooks(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """The same for webhooks."""
    if case.meta is not None and not case.meta.generation.mode.is_positive:
        return
    if "/webhook-endpoints" in case.operation.label:
        if isinstance(case.query, dict):
            case.query.pop("cursor", None)
        if isinstance(case.body, dict) and isinstance(case.body.get("url"), str):
            case.body["url"] = "https://shop.example.com/hooks"  # not any port or network fits
