"""The textbook way's front door: one Django view, no checks, no keys.

uvicorn tools.yardsticks.textbook_web:application
"""

from __future__ import annotations

import json
import secrets
import threading
from typing import Any

import psycopg
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from uuid_utils.compat import uuid7

from . import events
from .textbook import place, publish_user_subscribed

settings.configure(
    ROOT_URLCONF=__name__, SECRET_KEY=secrets.token_hex(), ALLOWED_HOSTS=["*"], USE_TZ=True
)

local = threading.local()


def database() -> psycopg.Connection[Any]:
    """One connection a thread, kept."""
    if not hasattr(local, "connection"):
        local.connection = psycopg.connect(place.payment_database, autocommit=True)
    connection: psycopg.Connection[Any] = local.connection
    return connection


def subscriptions(request: HttpRequest) -> JsonResponse:
    wanted = json.loads(request.body)
    subscription_id = uuid7()
    database().execute(
        "INSERT INTO subscription (id, user_id, email, plan, amount, currency) "
        "VALUES (%s, %s, %s, %s, %s, %s)",
        [
            subscription_id,
            *(wanted[name] for name in ("user_id", "email", "plan", "amount", "currency")),
        ],
    )
    publish_user_subscribed.delay(events.user_subscribed(subscription_id, wanted))
    return JsonResponse({"id": str(subscription_id), "status": "pending"}, status=202)


def ready(_: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ready"})


urlpatterns = [path("v1/subscriptions", subscriptions), path("health/ready", ready)]

application = get_asgi_application()
