"""A client of the API."""

from __future__ import annotations

import json
from typing import Any

from admit_one.web.models import ApiKey
from django.test import Client

ALL_SCOPES = ("codes:redeem", "codes:operate", "codes:read")


class Api:
    """A client of the API with its own key."""

    def __init__(self, client: str, *scopes: str) -> None:
        self.key = ApiKey.objects.issue(client, scopes=scopes or ALL_SCOPES)
        self.http = Client(headers={"Authorization": f"Bearer {self.key}"})

    def post(self, path: str, body: Any, **headers: str) -> Any:
        """POST JSON, or bytes as they are. Headers: `Idempotency_Key="…"`."""
        return self.http.generic(
            "POST",
            path,
            body if isinstance(body, bytes) else json.dumps(body).encode(),
            "application/json",
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    def validate(self, code: str, **more: Any) -> Any:
        return self.post("/v1/access-codes/validate", {"code": code, **more}).json()

    def redeem(self, code: str, *, key: str = "", **more: Any) -> Any:
        headers = {"Idempotency_Key": key} if key else {}
        return self.post("/v1/access-codes/redeem", {"code": code, **more}, **headers).json()

    def act(self, name: str, access_id: str, **body: Any) -> Any:
        return self.post(f"/v1/access-codes/{access_id}/{name}", {"reason": "a test", **body})

    def get(self, path: str) -> Any:
        return self.http.get(path)
