"""The part of the HTTP API that is about webhooks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from django.db import transaction
from django.http import Http404, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_control
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from admit_one.web import StrictView, client_of, etags, idempotency, key_of, openapi, paging
from admit_one.web.problems import Conflict

from . import endpoints, examples
from .endpoints import NotPossible, Owner
from .models import Delivery, Endpoint
from .serializers import (
    ChangedEndpoint,
    DeliveryAnswer,
    DeliveryFilters,
    DeliveryPage,
    EndpointAnswer,
    EndpointPage,
    NewEndpoint,
    SecretAnswer,
    changed_endpoint,
    new_endpoint,
    shown,
    shown_delivery,
)

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


class WebhookConflict(Conflict):
    default_code = "webhook_state"


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
            endpoint, secret = _possible(lambda: endpoints.create(_owner(request), **new))
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
        owner = _owner(request)
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
        endpoint = endpoints.find(_owner(request), _uuid(endpoint_id))
        return etags.answer(request, shown(_existing(endpoint)), {})

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
        endpoint = endpoints.change(_owner(request), _uuid(endpoint_id), **changes)
        return Response(shown(_existing(endpoint)))

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
        if not endpoints.delete(_owner(request), _uuid(endpoint_id)):
            raise Http404
        return Response(status=204)


def act(
    operation: str, status: int, answer: Any, text: str, example: Any, *problems: int
) -> Callable[[Any], Any]:
    """Describes an act in OpenAPI."""
    return extend_schema(
        tags=TAGS,
        operation_id=operation,
        request=None,
        parameters=[*openapi.RATE_LIMIT, ENDPOINT_ID],
        responses={
            status: OpenApiResponse(answer, text),
            **openapi.problems(400, 401, 403, 404, 429, *problems),
        },
        examples=[example],
    )


@unstored
class Rotation(StrictView):
    scopes: ClassVar = {"post": SCOPE}

    @act(
        "rotate_webhook_secret",
        200,
        SecretAnswer,
        "The endpoint with its new secret, which is shown only here.",
        examples.ROTATED,
    )
    def post(self, request: Request, endpoint_id: str) -> Response:
        """Give an endpoint another secret. For 24 hours, the one before signs as well.

        A secret before that one signs no more.
        """
        endpoint, secret = _existing(endpoints.rotate(_owner(request), _uuid(endpoint_id)))
        return Response({**shown(endpoint), "secret": secret})


@unstored
class Enabling(StrictView):
    scopes: ClassVar = {"post": SCOPE}

    @act(
        "enable_webhook_endpoint",
        200,
        EndpointAnswer,
        "The endpoint, enabled, now or since before.",
        examples.SHOWN,
    )
    def post(self, request: Request, endpoint_id: str) -> Response:
        """Send to an endpoint again that was disabled, also what has waited for it."""
        endpoint = endpoints.enable(_owner(request), _uuid(endpoint_id))
        return Response(shown(_existing(endpoint)))


@unstored
class Testing(StrictView):
    scopes: ClassVar = {"post": SCOPE}

    @act(
        "test_webhook_endpoint",
        202,
        DeliveryAnswer,
        "The delivery of the test event.",
        examples.TEST_SENT,
        409,
    )
    def post(self, request: Request, endpoint_id: str) -> Response:
        """Send an event of the type `webhook.test` to an endpoint, whatever it listens to."""
        sent = _possible(lambda: endpoints.send_test(_owner(request), _uuid(endpoint_id)))
        return Response(shown_delivery(_existing(sent)), status=202)


@unstored
class Deliveries(StrictView):
    scopes: ClassVar = {"get": SCOPE}
    query: ClassVar = {"get": ("limit", "cursor", "state")}

    @extend_schema(
        tags=TAGS,
        operation_id="list_webhook_deliveries",
        parameters=[
            *openapi.RATE_LIMIT,
            ENDPOINT_ID,
            DeliveryFilters,
            *openapi.page(),
            *openapi.KNOWN,
        ],
        responses={
            200: OpenApiResponse(DeliveryPage, "A page of deliveries; each is kept for 45 days."),
            **openapi.NOT_MODIFIED,
            **openapi.problems(400, 401, 403, 404, 429),
        },
        examples=[examples.DELIVERIES],
    )
    def get(self, request: Request, endpoint_id: str) -> HttpResponse:
        """List what is sent to an endpoint, newest first."""
        chosen = paging.filters_of(request, DeliveryFilters(), ("state",))
        endpoint = _existing(endpoints.find(_owner(request), _uuid(endpoint_id)))
        rows = Delivery.objects.filter(endpoint=endpoint, **chosen)
        page = paging.page_of(rows, request, NEWEST_FIRST)
        body = {"results": [shown_delivery(row) for row in page.rows], "next": page.next}
        return etags.answer(request, body, page.headers(request))


@unstored
class Resend(StrictView):
    scopes: ClassVar = {"post": SCOPE}

    @extend_schema(
        tags=TAGS,
        operation_id="resend_webhook",
        request=None,
        parameters=[*openapi.RATE_LIMIT, ENDPOINT_ID, WEBHOOK_ID],
        responses={
            202: OpenApiResponse(DeliveryAnswer, "The delivery, which waits to be sent again."),
            **openapi.problems(400, 401, 403, 404, 409, 429),
        },
        examples=[examples.SENT_AGAIN],
    )
    def post(self, request: Request, endpoint_id: str, webhook_id: str) -> Response:
        """Send a webhook again, delivered or not, with the same `webhook-id` and body."""
        ids = _uuid(endpoint_id), _uuid(webhook_id)
        delivery = _possible(lambda: endpoints.resend(_owner(request), *ids))
        return Response(shown_delivery(_existing(delivery)), status=202)


def addresses() -> list[URLPattern]:
    """What a service with webhooks adds to its addresses."""
    # `str`, not `uuid`: the views check the key first, so a malformed id is a 401 or a 404.
    endpoint = "v1/webhook-endpoints/<str:endpoint_id>"
    acts = {"rotate-secret": Rotation, "enable": Enabling, "test": Testing}
    return [
        path("v1/webhook-endpoints", Endpoints.as_view(), name="webhook_endpoints"),
        path(endpoint, EndpointDetail.as_view(), name="webhook_endpoint"),
        *(path(f"{endpoint}/{name}", view.as_view(), name=name) for name, view in acts.items()),
        path(f"{endpoint}/deliveries", Deliveries.as_view(), name="webhook_deliveries"),
        path(
            f"{endpoint}/deliveries/<str:webhook_id>/resend",
            Resend.as_view(),
            name="resend_webhook",
        ),
    ]


def _owner(request: Request) -> Owner:
    return Owner(client_of(request), key_of(request).test)


def _uuid(text: str) -> UUID:
    """Raises 404 for a malformed id: nothing has it."""
    if not UUID_TEXT.fullmatch(text):
        raise Http404
    return UUID(text)


def _existing(thing: T | None) -> T:
    if thing is None:
        raise Http404
    return thing


def _possible(act: Callable[[], T]) -> T:
    try:
        with transaction.atomic():
            return act()
    except NotPossible as error:
        raise WebhookConflict(str(error)) from None
