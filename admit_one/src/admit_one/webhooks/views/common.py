"""What the views of webhooks share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from django.db import transaction
from django.http import Http404
from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_control
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from admit_one.web import client_of, key_of, paging
from admit_one.web.problems import Conflict
from admit_one.webhooks.endpoints import NotPossible, Owner

T = TypeVar("T")

TAGS = ["webhooks"]
SCOPE = "webhooks"
UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
NEWEST_FIRST = paging.Order("created_at", 0)

unstored = method_decorator(cache_control(no_store=True), name="dispatch")

ENDPOINT_ID = OpenApiParameter(
    "endpoint_id",
    OpenApiTypes.UUID,
    OpenApiParameter.PATH,
    description="The `id` from the response that made it.",
)
WEBHOOK_ID = OpenApiParameter(
    "webhook_id",
    OpenApiTypes.UUID,
    OpenApiParameter.PATH,
    description="The `id` of the delivery, which is the `webhook-id` of its requests.",
)


class WebhookConflict(Conflict):
    default_code = "webhook_state"


def owner_of(request: Request) -> Owner:
    return Owner(client_of(request), key_of(request).test)


def uuid_or_404(text: str) -> UUID:
    """Raises 404 for a malformed id: nothing has it."""
    if not UUID_TEXT.fullmatch(text):
        raise Http404
    return UUID(text)


def existing(thing: T | None) -> T:
    if thing is None:
        raise Http404
    return thing


def possible(act: Callable[[], T]) -> T:
    try:
        with transaction.atomic():
            return act()
    except NotPossible as error:
        raise WebhookConflict(str(error)) from None
