"""What is sent to an endpoint: listed, and sent again."""

from __future__ import annotations

from typing import ClassVar

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from admit_one.web import StrictView, etags, openapi, paging
from admit_one.webhooks import endpoints, examples
from admit_one.webhooks.models import Delivery
from admit_one.webhooks.serializers import (
    DeliveryAnswer,
    DeliveryFilters,
    DeliveryPage,
    shown_delivery,
)

from .common import (
    ENDPOINT_ID,
    NEWEST_FIRST,
    SCOPE,
    TAGS,
    WEBHOOK_ID,
    existing,
    owner_of,
    possible,
    unstored,
    uuid_or_404,
)


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
        endpoint = existing(endpoints.find(owner_of(request), uuid_or_404(endpoint_id)))
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
        ids = uuid_or_404(endpoint_id), uuid_or_404(webhook_id)
        delivery = possible(lambda: endpoints.resend(owner_of(request), *ids))
        return Response(shown_delivery(existing(delivery)), status=202)
