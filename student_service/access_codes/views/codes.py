"""What there is to know about codes: for operators and their programs."""

from __future__ import annotations

import base64
import re
from typing import ClassVar
from urllib.parse import urlencode
from uuid import UUID

from admit_one.web import StrictView, etags, key_of, openapi, paging
from django.http import Http404, HttpResponse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from access_codes import admission, listing
from access_codes.listing import Filters
from access_codes.serializers import examples
from access_codes.serializers.codes import (
    AccessCodeAnswer,
    AccessCodePage,
    CodeFilters,
    code_filters,
    in_clear,
    masked,
    shown,
    shown_all,
)

from .common import ACCESS_ID, OPERATE, READ, access_of, unstored

CURSOR_PATTERN = "^[A-Za-z0-9_-]{22}$"


def may_see_codes(request: Request) -> bool:
    """Whether the client may see a whole code, one at a time."""
    return key_of(request).may(READ)


@unstored
class AccessCodes(StrictView):
    scopes: ClassVar = {"get": OPERATE}
    query: ClassVar = {"get": ("limit", "cursor", *Filters._fields)}

    @extend_schema(
        operation_id="list_access_codes",
        parameters=[
            *openapi.RATE_LIMIT,
            CodeFilters,
            *openapi.page(CURSOR_PATTERN),
            *openapi.KNOWN,
        ],
        responses={
            200: OpenApiResponse(
                AccessCodePage,
                "A page of codes, masked. Where few codes match the filters, it may hold fewer "
                "than `limit`, or none, and `next` goes on: the end is where `next` is null.",
            ),
            **openapi.NOT_MODIFIED,
            **openapi.problems(400, 401, 403, 429),
        },
        examples=[examples.PAGE],
        extensions={"x-links": {"200": examples.links("results/0/access_id")}},
    )
    def get(self, request: Request) -> HttpResponse:
        """List the current code of each subscription, the newest subscription first."""
        given = request.query_params
        values = paging.filters_of(request, code_filters, Filters._fields)
        filters, limit = Filters(**values), paging.limit_of(request)
        before = _position(given["cursor"]) if "cursor" in given else None
        rows, last = listing.page(filters, before=before, limit=limit)
        following = None
        if last is not None:
            query = urlencode(given.dict() | {"limit": limit, "cursor": _cursor(last)})
            following = f"{request.path}?{query}"
        body = {"results": shown_all(rows), "next": following}
        return etags.answer(request, body, paging.Page(rows, following).headers(request))


@unstored
class AccessCodeDetail(StrictView):
    scopes: ClassVar = {"get": OPERATE}

    @extend_schema(
        operation_id="show_access_code",
        parameters=[*openapi.RATE_LIMIT, ACCESS_ID, *openapi.KNOWN],
        responses={
            200: OpenApiResponse(
                AccessCodeAnswer,
                "The code as it is now; whole, if the key has the scope `codes:read`.",
            ),
            **openapi.NOT_MODIFIED,
            **openapi.problems(400, 401, 403, 404, 429),
        },
        examples=[examples.ISSUED],
        extensions={"x-links": {"200": examples.links("access_id")}},
    )
    def get(self, request: Request, access_id: str) -> HttpResponse:
        """Show one code."""
        subscription_id, generation = access_of(access_id)
        row = admission.with_state().filter(pk=subscription_id).first()
        if row is None or generation > row.generation:
            raise Http404
        show = in_clear if may_see_codes(request) else masked
        return etags.answer(request, shown(row, generation, show), {})


def _cursor(position: UUID) -> str:
    return base64.urlsafe_b64encode(position.bytes).decode().rstrip("=")


def _position(cursor: str) -> UUID:
    if re.fullmatch(CURSOR_PATTERN, cursor):
        position = UUID(bytes=base64.urlsafe_b64decode(f"{cursor}=="))
        if _cursor(position) == cursor:
            return position
    raise ValidationError({"cursor": ["expected the cursor of a `next` URL"]})
