"""The views of the bare contender: Django REST framework as it comes."""

from __future__ import annotations

import base64
import hmac
import json
import os
from collections.abc import Mapping
from typing import cast

from django.db import connection, transaction
from django.urls import path
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from uuid_utils.compat import uuid7

KEY = base64.urlsafe_b64decode(os.environ["LOOKUP_KEY"] + "==")

PAID, REDEEMED = bytes(836), bytes(400)
"""As long as the sealed events."""

KNOWS = "SELECT client FROM web_apikey WHERE prefix = %s AND revoked_at IS NULL"
FIND = """
    SELECT subscription_id, generation, plan, uses FROM access_codes_accesscode
    WHERE lookup_hash = %s
"""
REDEEM = """
    INSERT INTO access_codes_redemption
        (id, subscription_id, generation, client, reference, redeemed_at)
    VALUES (%s, %s, %s, 'bench', %s, now())
"""
COUNT = "UPDATE access_codes_accesscode SET uses = uses + 1 WHERE subscription_id = %s"
PUBLISH = """
    INSERT INTO messaging_outbox (event_id, type, subject, body, signature)
    VALUES (%s, %s, %s, %s, '')
"""
CLAIM = """
    INSERT INTO web_idempotencykey (client, key, fingerprint, location, body)
    VALUES ('bench', %s, %s, '', '')
"""
KEEP = "UPDATE web_idempotencykey SET status = 202, body = %s WHERE client = 'bench' AND key = %s"
RECORD = """
    INSERT INTO subscriptions_subscription
        (id, client, user_id, email, plan, amount, currency, created_at, first_request_id,
         last_request_id, requests, next_request_at)
    VALUES (%s, 'bench', %s, %s, %s, %s, %s, now(), %s, %s, 1, now())
"""
PAID_FIELDS = ("user_id", "email", "plan", "amount", "currency")


class WithKey(APIView):
    """Looks up the API key, and trusts it."""

    def initial(self, request: Request, *_: object, **__: object) -> None:
        prefix = request.headers["Authorization"].split("_")[1]
        with connection.cursor() as cursor:
            cursor.execute(KNOWS, [prefix])
            if cursor.fetchone() is None:
                raise NotAuthenticated


class Validate(WithKey):
    def post(self, request: Request) -> Response:
        with connection.cursor() as cursor:
            cursor.execute(FIND, [_hash(request)])
            return Response(_answer(cursor.fetchone()))


class Redeem(WithKey):
    def post(self, request: Request) -> Response:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(FIND + "FOR UPDATE", [_hash(request)])
            row = cursor.fetchone()
            cursor.execute(REDEEM, [uuid7(), row[0], row[1], _body(request)["reference"]])
            cursor.execute(COUNT, [row[0]])
            cursor.execute(PUBLISH, [str(uuid7()), "access_code_redeemed", str(row[0]), REDEEMED])
        return Response(_answer(row))


class Record(WithKey):
    def post(self, request: Request) -> Response:
        body, key = _body(request), request.headers.get("Idempotency-Key")
        row, event = uuid7(), str(uuid7())
        answer = {"id": str(row), "status": "pending", **body}
        with transaction.atomic(), connection.cursor() as cursor:
            if key is not None:
                cursor.execute(CLAIM, [key, bytes(32)])
            paid = [body[name] for name in PAID_FIELDS]
            cursor.execute(RECORD, [row, *paid, event, event])
            cursor.execute(PUBLISH, [event, "user_subscribed", str(row), PAID])
            if key is not None:
                cursor.execute(KEEP, [json.dumps(answer), key])
        return Response(answer, status=202)


def _hash(request: Request) -> bytes:
    return hmac.digest(KEY, _body(request)["code"].encode(), "sha256")


def _body(request: Request) -> Mapping[str, str]:
    return cast("Mapping[str, str]", request.data)


def _answer(row: tuple[object, ...] | None) -> dict[str, object]:
    names = ("subscription_id", "generation", "plan", "uses")
    return {"valid": row is not None, **dict(zip(names, row or (), strict=False))}


urlpatterns = [
    path("v1/subscriptions", Record.as_view()),
    path("v1/access-codes/validate", Validate.as_view()),
    path("v1/access-codes/redeem", Redeem.as_view()),
]
