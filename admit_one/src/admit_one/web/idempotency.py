"""`Idempotency-Key`: a repeated POST is answered with the first result and changes nothing.

The key's row is written in the transaction of the change itself, so that neither is there
without the other. A second request with the same key that comes meanwhile waits for the first:
PostgreSQL's ON CONFLICT waits for the other transaction, SQLite lets only one write at a time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable

from django.db import connection, transaction
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from .api_keys import client_of
from .models import IdempotencyKey

KEY = re.compile(r"[\x21-\x7e]{1,255}")


class KeyUsedForAnother(APIException):
    """The same key came with another request: a fault of the client, nothing was done."""

    status_code = 422
    default_code = "idempotency_key_reused"


def once(request: Request, act: Callable[[], Response]) -> Response:
    """What `act` answers, or answered to the first request with this client and key.

    `act` must change nothing but the database, and that in this transaction.
    Raises 400 for an unusable key, 422 for a key that was used with another body.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return act()
    if not KEY.fullmatch(key):
        expected = "expected 1 to 255 visible ASCII characters"
        raise ValidationError({"Idempotency-Key": [expected]})
    client, fingerprint = client_of(request), _fingerprint(request)
    with transaction.atomic():
        if _claim(client, key, fingerprint):
            response = act()
            IdempotencyKey.objects.filter(client=client, key=key).update(
                status=response.status_code,
                location=response.get("Location", ""),
                body=json.dumps(response.data),
            )
            return response
    return _first_answer(client, key, fingerprint)


def _fingerprint(request: Request) -> bytes:
    body = json.dumps(request.data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{request.method} {request.path}\n{body}".encode()).digest()


def _claim(client: str, key: str, fingerprint: bytes) -> bool:
    """Whether we are the first. Not the ORM: `ignore_conflicts` does not report it."""
    table = connection.ops.quote_name(IdempotencyKey._meta.db_table)  # noqa: SLF001
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (client, key, fingerprint) VALUES (%s, %s, %s) "  # noqa: S608
            "ON CONFLICT (client, key) DO NOTHING RETURNING id",
            [client, key, fingerprint],
        )
        return bool(cursor.fetchall())


def _first_answer(client: str, key: str, fingerprint: bytes) -> Response:
    first = IdempotencyKey.objects.get(client=client, key=key)
    if not hmac.compare_digest(bytes(first.fingerprint), fingerprint):
        known = bytes(first.fingerprint).hex()[:16]
        raise KeyUsedForAnother(f"this Idempotency-Key came first with another request ({known}…)")
    headers = {"Idempotency-Replayed": "true"}
    if first.location:
        headers["Location"] = first.location
    return Response(json.loads(first.body), status=first.status, headers=headers)
