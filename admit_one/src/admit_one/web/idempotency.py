"""`Idempotency-Key`: a repeated POST gets the first response and changes nothing.

The key's row is written in the transaction of the change, so that neither exists without the
other. A concurrent request with the same key waits for the first: PostgreSQL's ON CONFLICT waits
for the other transaction, and SQLite has only one writer at a time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from contextlib import nullcontext, suppress

from django.db import IntegrityError, connection, transaction
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from admit_one.database import prepared, together
from admit_one.database.bulk import insert, insert_new

from .keys.authentication import client_of, key_of
from .models import IdempotencyKey
from .serializers import as_text

LONGEST_KEY = 255
KEY = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_KEY}}}")


# The ORM takes four times as long to build it as the database to run it.
KEEP = """
    UPDATE web_idempotencykey SET status = %s, location = %s, body = %s
    WHERE client = %s AND key = %s
"""
KEEP_BESIDE = f"""
    INSERT INTO web_idempotencykey (client, key, fingerprint, status, location, body, updated_at)
    SELECT %s, %s, %s::bytea, %s::smallint, %s, %s, updated_at FROM {together.RETURNED}
"""  # noqa: S608 (our own name)


class KeyUsedForAnother(APIException):
    """The key was used for another request: the client's fault; nothing was changed."""

    status_code = 422
    default_code = "idempotency_key_reused"


class Erased(APIException):
    """The first answer was about somebody who was erased since; nothing was changed."""

    status_code = 410
    default_code = "erased"
    default_detail = (
        "the answer to the first request with this Idempotency-Key was erased; nothing was changed"
    )


def once(
    request: Request,
    act: Callable[[], Response],
    *,
    is_transaction: bool = False,
    only_inserts: bool = False,
) -> Response:
    """The response of `act`, or the one to the first request with this client and key.

    `act` may change only the database, in this transaction: if it raises, nothing has changed.
    `is_transaction`: it sees to that by itself, so without a key it needs none around it.
    `only_inserts`: it is a `together.transaction` that raises nothing for what was done before, so
    the key is written by its statement. It may be called twice; what it writes first is undone.
    Raises 400 for an invalid key, 422 for a key that was used for another request.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        with nullcontext() if is_transaction or only_inserts else transaction.atomic():
            return act()
    if not KEY.fullmatch(key):
        expected = f"expected 1 to {LONGEST_KEY} visible ASCII characters"
        raise ValidationError({"Idempotency-Key": [expected]})
    client, fingerprint = client_of(request), _fingerprint(request)
    if only_inserts and not connection.in_atomic_block:
        with suppress(IntegrityError), together.transaction():  # raised if the key is known
            response = act()
            _keep_new(client, key, fingerprint, response)
            return response
    with transaction.atomic():
        if _claim(client, key, fingerprint):
            response = act()
            _keep(client, key, response)
            return response
    return _first_answer(client, key, fingerprint)


def _fingerprint(request: Request) -> bytes:
    body = json.dumps(request.data, sort_keys=True, separators=(",", ":"))
    test = "test " if key_of(request).test else ""
    return hashlib.sha256(f"{test}{request.method} {request.path}\n{body}".encode()).digest()


def _claim(client: str, key: str, fingerprint: bytes) -> bool:
    """Store the key; returns whether it is new."""
    row = {"client": client, "key": key, "fingerprint": fingerprint}
    new = insert_new(IdempotencyKey, [row], conflict=("client", "key"), returning=("id",))
    return bool(new)


def _keep_new(client: str, key: str, fingerprint: bytes, response: Response) -> None:
    """Store the key with its response. Raises `IntegrityError`, now or later, if it is known."""
    columns = ("client", "key", "fingerprint", "status", "location", "body")
    kept = [client, key, fingerprint, *_answer(response)]
    if not together.insert_beside(KEEP_BESIDE, kept):
        insert(IdempotencyKey, [dict(zip(columns, kept, strict=True))])


def _keep(client: str, key: str, response: Response) -> None:
    with prepared.cursor() as cursor:
        cursor.execute(KEEP, [*_answer(response), client, key])


def _answer(response: Response) -> tuple[int, str, str]:
    return response.status_code, response.get("Location", ""), json.dumps(response.data)


def _first_answer(client: str, key: str, fingerprint: bytes) -> Response:
    first = IdempotencyKey.objects.get(client=client, key=key)
    if first.status == Erased.status_code:
        raise Erased
    if not hmac.compare_digest(bytes(first.fingerprint), fingerprint):
        known = bytes(first.fingerprint).hex()[:16]
        raise KeyUsedForAnother(f"this Idempotency-Key was used for another request ({known}…)")
    headers = {"Idempotency-Replayed": "true"}
    if first.location:
        headers["Location"] = first.location
    body = json.loads(first.body)
    if first.updated_at is not None:
        body["updated_at"] = as_text(first.updated_at)
    return Response(body, status=first.status, headers=headers)
