"""The views of the bare contender."""

from __future__ import annotations

import base64
import hmac
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
BODY = bytes(400)
"""As long as the sealed event of a redemption."""

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
    VALUES (%s, 'access_code_redeemed', %s, %s, '')
"""


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
            cursor.execute(PUBLISH, [str(uuid7()), str(row[0]), BODY])
        return Response(_answer(row))


def _hash(request: Request) -> bytes:
    return hmac.digest(KEY, _body(request)["code"].encode(), "sha256")


def _body(request: Request) -> Mapping[str, str]:
    return cast("Mapping[str, str]", request.data)


def _answer(row: tuple[object, ...] | None) -> dict[str, object]:
    names = ("subscription_id", "generation", "plan", "uses")
    return {"valid": row is not None, **dict(zip(names, row or (), strict=False))}


urlpatterns = [
    path("v1/access-codes/validate", Validate.as_view()),
    path("v1/access-codes/redeem", Redeem.as_view()),
]
