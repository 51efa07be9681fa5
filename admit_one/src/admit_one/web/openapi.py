"""What the API page shows about things that all our endpoints share."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers

WHEN = {
    400: "The request is wrong; `errors` names each field.",
    401: "There is no valid API key.",
    404: "There is no such thing, or it belongs to another client.",
    413: "The body is too large.",
    415: "The body is not plain JSON in UTF-8.",
    422: "The Idempotency-Key came first with another request.",
    503: "The database does not answer; try again, and repeat a POST with its key.",
}


class FaultSchema(serializers.Serializer[Any]):
    field = serializers.CharField()
    pointer = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemSchema(serializers.Serializer[Any]):
    """RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    instance = serializers.CharField()
    errors = FaultSchema(many=True, required=False)  # type: ignore[assignment]


def problems(*statuses: int) -> dict[tuple[int, str], OpenApiResponse]:
    """For `extend_schema(responses=…)`: these problems, as `application/problem+json`."""
    return {
        (status, "application/problem+json"): OpenApiResponse(ProblemSchema, WHEN[status])
        for status in statuses
    }


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "admit_one.web.api_keys.ApiKeyAuthentication"
    name = "api_key"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:  # noqa: ARG002
        return {"type": "http", "scheme": "bearer", "description": "manage.py api_key create"}
