"""Endpoints of a client: made, listed, shown, changed and deleted."""

from __future__ import annotations

from typing import ClassVar

from django.http import Http404, HttpResponse
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from admit_one.web import StrictView, etags, idempotency, openapi, paging
from admit_one.webhooks import endpoints, examples
from admit_one.webhooks.models import Endpoint
from admit_one.webhooks.serializers import (
    ChangedEndpoint,
    EndpointAnswer,
    EndpointPage,
    NewEndpoint,
    SecretAnswer,
    changed_endpoint,
    new_endpoint,
    shown,
)

from .common import (
    ENDPOINT_ID,
    NEWEST_FIRST,
    SCOPE,
    TAGS,
    existing,
    owner_of,
    possible,
    unstored,
    uuid_or_404,
)

LOCATION = OpenApiParameter(
    "Location",
    {"type": "string", "format": "uri-reference", "maxLength": 255},
    OpenApiParameter.HEADER,
    response=[201],
    description="The endpoint's path.",
)

OF_ONE = {
    name: {
        "operationId": name,
        "parameters": {"endpoint_id": "$response.body#/id"},
        "description": "By its `id`.",
    }
    for name in ("show_webhook_endpoint", "test_webhook_endpoint", "list_webhook_deliveries")
}


@unstored
class Endpoints(StrictView):
    scopes: ClassVar = {"get": SCOPE, "post": SCOPE}
    query: ClassVar = {"get": ("limit", "cursor")}

    @extend_schema(
        tags=TAGS,
        operation_id="create_webhook_endpoint",
        request=NewEndpoint,
        parameters=[
            *openapi.RATE_LIMIT,
            openapi.IDEMPOTENCY_KEY,
            openapi.replayed(201),
            LOCATION,
        ],
        responses={
            201: OpenApiResponse(SecretAnswer, "Made, with its secret, which is shown only here."),
            **openapi.problems(400, 401, 403, 409, 413, 415, 422, 429),
        },
        examples=[examples.NEW, examples.CREATED],
        extensions={"x-links": {"201": OF_ONE}},
    )
    def post(self, request: Request) -> Response:
        """Have events sent to a URL, from five seconds later on. A client has 16 at most."""
        new = new_endpoint.run_validation(request.data)
        secrets: list[str] = []

        def create() -> Response:
            endpoint, secret = possible(lambda: endpoints.create(owner_of(request), **new))
            secrets.append(secret)
            location = reverse("webhook_endpoint", args=[endpoint.pk])
            kept = {**shown(endpoint), "secret": None}  # an answer that is repeated has none
            return Response(kept, status=201, headers={"Location": location})

        response = idempotency.once(request, create)
        if secrets:
            response.data = {**response.data, "secret": secrets[0]}
        return response

    @extend_schema(
        tags=TAGS,
        operation_id="list_webhook_endpoints",
        parameters=[*openapi.RATE_LIMIT, *openapi.page(), *openapi.KNOWN],
        responses={
            200: OpenApiResponse(EndpointPage, "A page of your endpoints."),
            **openapi.NOT_MODIFIED,
            **openapi.problems(400, 401, 403, 429),
        },
        examples=[examples.PAGE],
    )
    def get(self, request: Request) -> HttpResponse:
        """List your endpoints, newest first; with a test key, those that test keys have made."""
        owner = owner_of(request)
        rows = Endpoint.objects.of(owner.client, test=owner.test)
        page = paging.page_of(rows, request, NEWEST_FIRST)
        body = {"results": [shown(endpoint) for endpoint in page.rows], "next": page.next}
        return etags.answer(request, body, page.headers(request))


@unstored
class EndpointDetail(StrictView):
    scopes: ClassVar = {"get": SCOPE, "patch": SCOPE, "delete": SCOPE}

    @extend_schema(
        tags=TAGS,
        operation_id="show_webhook_endpoint",
        parameters=[*openapi.RATE_LIMIT, ENDPOINT_ID, *openapi.KNOWN],
        responses={
            200: OpenApiResponse(EndpointAnswer, "The endpoint as it is now."),
            **openapi.NOT_MODIFIED,
            **openapi.problems(400, 401, 403, 404, 429),
        },
        examples=[examples.SHOWN],
    )
    def get(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Show one endpoint: whether it fails, since when, and whether it is disabled."""
        endpoint = endpoints.find(owner_of(request), uuid_or_404(endpoint_id))
        return etags.answer(request, shown(existing(endpoint)), {})

    @extend_schema(
        tags=TAGS,
        operation_id="change_webhook_endpoint",
        request=ChangedEndpoint,
        parameters=[*openapi.RATE_LIMIT, ENDPOINT_ID],
        responses={
            200: OpenApiResponse(EndpointAnswer, "The endpoint as it is now."),
            **openapi.problems(400, 401, 403, 404, 413, 415, 429),
        },
        examples=[examples.MOVED, examples.CHANGED],
    )
    def patch(self, request: Request, endpoint_id: str) -> Response:
        """Change where an endpoint is, or what it listens to. What waits goes to the new URL."""
        changes = changed_endpoint.run_validation(request.data)
        endpoint = endpoints.change(owner_of(request), uuid_or_404(endpoint_id), **changes)
        return Response(shown(existing(endpoint)))

    @extend_schema(
        tags=TAGS,
        operation_id="delete_webhook_endpoint",
        parameters=[*openapi.RATE_LIMIT, ENDPOINT_ID],
        responses={
            204: OpenApiResponse(description="Deleted, with all of its deliveries. No body."),
            **openapi.problems(400, 401, 403, 404, 429),
        },
    )
    def delete(self, request: Request, endpoint_id: str) -> Response:
        """Send nothing to an endpoint any more. What waits for it is not sent."""
        if not endpoints.delete(owner_of(request), uuid_or_404(endpoint_id)):
            raise Http404
        return Response(status=204)
