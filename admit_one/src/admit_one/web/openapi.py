"""What the API page shows about things that all endpoints share."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.urls import URLPattern, path
from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerExtension,
    OpenApiSerializerFieldExtension,
)
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema_field
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerView
from rest_framework import serializers

from . import paging
from .idempotency import KEY, LONGEST_KEY
from .keys.scopes import SCOPES

WHEN = {
    400: "The request is invalid; `errors` names each field, header or query parameter.",
    401: "There is no valid API key.",
    403: "The API key lacks a scope, which `detail` names.",
    404: "It does not exist, or belongs to another client.",
    408: "The request took too long to arrive.",
    409: "Its state does not allow this; `detail` says why.",
    410: "The first answer for the Idempotency-Key was erased.",
    413: "The body is too large.",
    415: "The body is not plain JSON in UTF-8.",
    422: "The Idempotency-Key was used for another request.",
    429: "Too many requests, with this key or without a valid one: retry after `Retry-After`.",
    431: "The headers are too large.",
    500: "The server failed; its log says why.",
    501: "The request has a Transfer-Encoding other than chunked.",
    503: "The database is unavailable; retry (a POST with the same Idempotency-Key).",
}


EVERYWHERE = (408, 431, 500, 501, 503)
"""What any request may be answered."""


MAX_TEXT = 32_768
"""Characters of a text in a problem: no path and no header is longer."""


@extend_schema_field({"type": "string", "format": "uri-reference", "maxLength": MAX_TEXT})
class UriReference(serializers.CharField):
    """An address, or a part of one."""


class FaultSchema(serializers.Serializer[Any]):
    """One fault of a request."""

    field = serializers.CharField(
        allow_blank=True,
        max_length=MAX_TEXT,
        help_text="the field, header or query parameter; empty for the whole body",
    )
    pointer = serializers.CharField(
        max_length=MAX_TEXT, help_text="a JSON pointer (RFC 6901) to the field"
    )
    code = serializers.CharField(max_length=64, help_text="for programs; does not change")
    detail = serializers.CharField(max_length=MAX_TEXT, help_text="for people")


class ProblemSchema(serializers.Serializer[Any]):
    """An error (RFC 9457)."""

    type = UriReference(
        max_length=MAX_TEXT,
        help_text="where this kind of problem is explained, relative to the address of the request",
    )
    title = serializers.CharField(max_length=64, help_text="the status in words")
    status = serializers.IntegerField(help_text="the HTTP status", min_value=400, max_value=599)
    code = serializers.CharField(
        max_length=64, help_text="for programs; does not change, and new ones may be added"
    )
    detail = serializers.CharField(max_length=MAX_TEXT, help_text="for people")
    instance = UriReference(
        max_length=MAX_TEXT, help_text="the path of the request", required=False
    )
    errors = FaultSchema(  # type: ignore[assignment]
        many=True, required=False, help_text="each fault of an invalid request"
    )


def problems(*statuses: int) -> dict[tuple[int, str], OpenApiResponse]:
    """For `extend_schema(responses=…)`: these problems, as `application/problem+json`."""
    return {
        (status, "application/problem+json"): OpenApiResponse(ProblemSchema, WHEN[status])
        for status in sorted({*statuses, *EVERYWHERE})
    }


RATE_LIMIT = (
    OpenApiParameter(
        "RateLimit-Policy",
        {"type": "string", "examples": ['"key";q=6000;w=60']},
        OpenApiParameter.HEADER,
        response=True,
        description='How many requests (`q`) are answered in how many seconds (`w`): `"key"`, with '
        'one API key, or `"address"`, without a valid one from one address.',
    ),
    OpenApiParameter(
        "RateLimit",
        {"type": "string", "examples": ['"key";r=5999;t=42']},
        OpenApiParameter.HEADER,
        response=True,
        description="How many requests remain (`r`), and after how many seconds (`t`) there are "
        "more.",
    ),
)
"""What each response says about limits."""

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": f"^{KEY.pattern}$"},
    OpenApiParameter.HEADER,
    description="Visible ASCII characters, new for each thing that is to be done. A repeated "
    "request with the same key and body does nothing: for 30 days it is answered with the first "
    "response, word for word. That shows how things were then; `Location` shows how they are now.",
)


def replayed(status: int) -> OpenApiParameter:
    """The header of a response with this status that repeats the first one."""
    return OpenApiParameter(
        "Idempotency-Replayed",
        {"type": "string", "enum": ["true"]},
        OpenApiParameter.HEADER,
        response=[status],
        description="Only if this repeats the first response.",
    )


REPLAYED = replayed(202)

RETRY_AFTER = OpenApiParameter(
    "Retry-After",
    {"type": "integer", "minimum": 1, "maximum": 60},
    OpenApiParameter.HEADER,
    response=[200, 202, 304],
    description="Only while it waits: seconds after which to look again. What it waits for is "
    "usually there by then; the longer it has waited, the longer the pause.",
)

KNOWN = (
    OpenApiParameter(
        "If-None-Match",
        {"type": "string"},
        OpenApiParameter.HEADER,
        description="The `ETag` of the answer that you have, or several of them.",
    ),
    OpenApiParameter(
        "ETag",
        {"type": "string", "pattern": '^"[0-9a-f]{32}"$'},
        OpenApiParameter.HEADER,
        response=[200, 304],
        description="Names this answer, byte for byte; for `If-None-Match`.",
    ),
)
"""The parameters of every GET that `etags` answers."""

NOT_MODIFIED = {304: OpenApiResponse(description="You have this answer already. No body.")}


def page(cursor: str = paging.CURSOR_PATTERN) -> tuple[OpenApiParameter, ...]:
    """The parameters of a list, whose cursors have this pattern."""
    return (
        OpenApiParameter(
            "limit",
            {"type": "integer", "minimum": 1, "maximum": paging.MAX_LIMIT, "default": paging.LIMIT},
            description="How many a page holds at most.",
        ),
        OpenApiParameter(
            "cursor",
            {"type": "string", "pattern": cursor},
            description="Where the page begins: the opaque cursor from `next`, with the same "
            "filters.",
        ),
        LINK,
    )


LINK = OpenApiParameter(
    "Link",
    {"type": "string", "pattern": '^<https?://[^>]+>; rel="next"$', "maxLength": MAX_TEXT},
    OpenApiParameter.HEADER,
    response=[200, 304],
    description="The whole address of the next page (RFC 8288); none at the end.",
)


class NextPage(UriReference):
    """Where the next page is, as `paging` gives it."""

    def __init__(self) -> None:
        super().__init__(
            allow_null=True,
            max_length=MAX_TEXT,
            help_text="the next page, as a path with a query, relative to this API's host; "
            "null at the end",
        )


def addresses() -> list[URLPattern]:
    """The API's description, and the page that shows it; none with `API_DOCS = False`."""
    if not getattr(settings, "API_DOCS", True):
        return []
    methods = ["get", "head"]
    description = SpectacularJSONAPIView.as_view(http_method_names=methods)
    page = SpectacularSwaggerView.as_view(url_name="schema", http_method_names=methods)
    return [
        path("v1/schema", description, name="schema"),
        path("v1/docs", page, name="docs"),
    ]


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "admit_one.web.keys.authentication.ApiKeyAuthentication"
    name = "api_key"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:  # noqa: ARG002
        scopes = "; ".join(f"`{scope}`: {does}" for scope, does in SCOPES.items())
        description = (
            "A key that the operators of this installation have given to you. Its scopes say what "
            f"it may do ({scopes})."
        )
        return {"type": "http", "scheme": "bearer", "description": description}


class VisibleTextSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """A field may narrow its pattern: `PATTERN`, and `FORMAT` beside it."""

    target_class = "admit_one.web.serializers.VisibleText"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:  # noqa: ARG002
        field = self.target
        schema = {"type": "string", "minLength": 1, "pattern": field.PATTERN}
        if direction == "request" and (takes := getattr(field, "TAKES", ())):
            schema = {"type": "string", "enum": sorted(takes)}
        if field.max_length is not None:
            schema["maxLength"] = field.max_length
        if given := getattr(field, "FORMAT", ""):
            schema["format"] = given
        if getattr(field, "READS_INTEGERS", False):
            digits = field.max_length
            bounds = {"minimum": 1 - 10 ** (digits - 1), "maximum": 10**digits - 1}
            return {"oneOf": [schema, {"type": "integer", **bounds}]}
        return schema


class StrictSchema(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """A strict serializer takes no other fields than its own."""

    target_class = "admit_one.web.serializers.StrictSerializer"
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        schema = auto_schema._map_serializer(  # type: ignore[no-untyped-call]  # noqa: SLF001
            self.target, direction, bypass_extensions=True
        )
        return {**schema, "additionalProperties": False}
