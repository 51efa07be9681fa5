"""Examples of what clients send and get, for the API's description."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample

SUBSCRIPTION = "0199aa00-0000-7000-8000-000000000001"
LATER = "2026-02-03T04:05:06.789012Z"


def _shown(**changes: Any) -> dict[str, Any]:
    return {
        "access_id": f"{SUBSCRIPTION}.1",
        "subscription_id": SUBSCRIPTION,
        "access_code": "****-****-****-H5RN",
        "access_code_failure": None,
        "user_id": "user-42",
        "plan": "gold",
        "state": "issued",
        "replaced_by": None,
        "uses": 1,
        "uses_left": None,
        "valid_from": None,
        "valid_until": "2027-01-01T00:00:00Z",
        "issued_at": "2026-01-02T03:04:05.713524Z",
        "revoked_at": None,
        "mail_stopped": None,
        **changes,
    }


def _answer(name: str, **changes: Any) -> OpenApiExample:
    return OpenApiExample(name, _shown(**changes), response_only=True, status_codes=["200"])


def _request(name: str, **fields: str) -> OpenApiExample:
    return OpenApiExample(name, fields, request_only=True)


ASKED = {"code": "7k3m q9tx 2wbd h5rn", "user_id": "user-42", "plan": "gold"}
QUESTION = _request("as it was typed", **ASKED)
USE = _request("with its name", **ASKED, reference="login-1")
ISSUED = _answer("issued", access_code="7K3M-Q9TX-2WBD-H5RN")
PAGE = OpenApiExample(
    "the newest",
    {"results": [_shown()], "next": "/v1/access-codes?limit=1&cursor=AZmqAAAAcACAAAAAAAAAAQ"},
    response_only=True,
    status_codes=["200"],
)
ANOTHER = {
    "access_id": f"{SUBSCRIPTION}.2",
    "access_code": "****-****-****-9ZQ4",
    "issued_at": LATER,
}
OF_ACTS = {
    "suspend_access_code": [
        _request("why", reason="the code was posted in a forum"),
        _answer("suspended", state="suspended"),
    ],
    "reinstate_access_code": [
        _request("why", reason="it was somebody else's code"),
        _answer("issued"),
    ],
    "revoke_access_code": [
        _request("why", reason="the account was closed"),
        _answer("revoked", state="revoked", revoked_at=LATER),
    ],
    "replace_access_code": [
        _request("why", reason="the code was posted in a forum"),
        _answer("another code", **ANOTHER),
    ],
    "resend_access_code": [
        _request("the same address", reason="the mail was deleted"),
        _request("a corrected address", reason="a typing error", email="ada@example.com"),
        _answer("issued"),
    ],
}
"""By operation: requests, and the answer."""


def links(access_id: str) -> dict[str, Any]:
    """What can follow an answer that has an access id there."""
    return {
        name: {
            "operationId": name,
            "parameters": {"access_id": f"$response.body#/{access_id}"},
            "description": "By its `access_id`.",
        }
        for name in ("show_access_code", "show_access", *OF_ACTS)
    }
