"""Steps that the tests of the web process share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from admit_one.web_process.server import LIVE
from django.db import connection, transaction
from subscriptions.models import Subscription

from tests.factories import a_payload
from tools.system.web_process import Response, request

GOOD = json.dumps(a_payload()).encode()
GET_LIVE = request("GET", LIVE)
HALF_HEADERS = GET_LIVE[:-2] + b"X-Half: "


def post(key: str, *headers: str, length: int = len(GOOD)) -> bytes:
    """The head of a POST with this Content-Length, without one if it is negative."""
    content_length = [f"Content-Length: {length}"] if length >= 0 else []
    return request(
        "POST",
        "/v1/subscriptions",
        f"Authorization: Bearer {key}",
        "Content-Type: application/json",
        *content_length,
        *headers,
    )


def assert_refused(answer: Response, status: int, code: str) -> None:
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["status"] == status


@contextmanager
def no_writes() -> Iterator[None]:
    """Block writes of subscriptions by other processes."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {Subscription._meta.db_table}")
        yield
