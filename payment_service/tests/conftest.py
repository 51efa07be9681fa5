from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from admit_one.web.models import ApiKey
from admit_one.web.testing import counting_alone
from admit_one.webhooks.testing import nobody_listens
from django.test import Client

from tests.factories import a_payload

ALL_SCOPES = ("subscriptions:read", "subscriptions:write", "codes:read", "webhooks")


@pytest.fixture(autouse=True)
def count_alone() -> Iterator[None]:
    nobody_listens()
    with counting_alone():
        yield


class Api:
    """A client of the API with its own key."""

    def __init__(self, client: str, *scopes: str, test: bool = False) -> None:
        self.key = ApiKey.objects.issue(client, scopes=scopes or ALL_SCOPES, test=test)
        self.http = Client(headers={"Authorization": f"Bearer {self.key}"})

    def post(
        self,
        payload: Any = None,
        *,
        raw: bytes | None = None,
        path: str = "/v1/subscriptions",
        **headers: str,
    ) -> Any:
        """POST a subscription, or the bytes `raw`. Headers: `Idempotency_Key="…"`."""
        body = json.dumps(a_payload() if payload is None else payload).encode()
        return self.http.generic(
            "POST",
            path,
            body if raw is None else raw,
            headers.pop("Content_Type", "application/json"),
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    def get(self, path: str) -> Any:
        return self.http.get(path)


@pytest.fixture
def shop(db: None) -> Api:
    return Api("shop")


@pytest.fixture
def other_shop(db: None) -> Api:
    return Api("other shop")
