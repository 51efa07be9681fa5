"""What the views of codes share."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404
from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_control
from drf_spectacular.utils import OpenApiParameter

from access_codes.models import ACCESS_ID_PATTERN, parse_access_id

# Responses say who has paid for what, so no cache may store them.
unstored = method_decorator(cache_control(no_store=True), name="dispatch")

REDEEM, OPERATE, READ = "codes:redeem", "codes:operate", "codes:read"
"""The scopes of keys: for platforms, for operators and their programs, and to see whole codes."""

ACCESS_ID = OpenApiParameter(
    "access_id",
    {"type": "string", "pattern": ACCESS_ID_PATTERN},
    OpenApiParameter.PATH,
    description="The `access_id` of an answer: the id of a subscription, a dot, and the number of "
    "its code.",
)


def access_of(text: str) -> tuple[UUID, int]:
    """The subscription and the generation in an access id.

    Raises 404 for a malformed one: no such code exists.
    """
    try:
        return parse_access_id(text)
    except ValueError:
        raise Http404 from None
