"""The web process of the textbook way: one Django view, without validation and API keys.

uvicorn tools.bench.contenders.textbook_web:application
"""

from __future__ import annotations

import json
import secrets

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from .textbook_tasks import subscribe

settings.configure(
    ROOT_URLCONF=__name__, SECRET_KEY=secrets.token_hex(), ALLOWED_HOSTS=["*"], USE_TZ=True
)


def subscriptions(request: HttpRequest) -> JsonResponse:
    subscription_id = subscribe(json.loads(request.body))
    return JsonResponse({"id": str(subscription_id), "status": "pending"}, status=202)


urlpatterns = [path("v1/subscriptions", subscriptions)]

application = get_asgi_application()
