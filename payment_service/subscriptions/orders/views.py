"""The part of the HTTP API that is about orders."""

from __future__ import annotations

from typing import ClassVar

from admit_one.web import StrictView, client_of, etags, idempotency, key_of, openapi, paging
from admit_one.web.limits import counting
from django.http import Http404, HttpResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from subscriptions import polling
from subscriptions.filters import NEWEST_FIRST
from subscriptions.models import Order
from subscriptions.views import READ, WRITE, unstored, uuid_or_404

from . import examples, filters
from .counts import counts_of
from .recording import record_order
from .serializers import (
    NewOrder,
    OrderAnswer,
    OrderPage,
    listed,
    new_order,
    shown,
    shown_new,
)

TAGS = ["orders"]


@unstored
class Orders(StrictView):
    scopes: ClassVar = {"get": READ, "post": WRITE}
    query: ClassVar = {"get": ("limit", "cursor", *filters.COMPARISONS)}

    @extend_schema(
        tags=TAGS,
        operation_id="record_order",
        request=NewOrder,
        parameters=[
            *openapi.RATE_LIMIT,
            openapi.IDEMPOTENCY_KEY,
            openapi.REPLAYED,
            openapi.RETRY_AFTER,
            OpenApiParameter(
                "Location",
                {"type": "string", "format": "uri-reference", "maxLength": 255},
                OpenApiParameter.HEADER,
                response=[202],
                description="The order's path: poll it until `completed_at` is set.",
            ),
        ],
        responses={
            202: OpenApiResponse(
                OrderAnswer,
                "Recorded, with all of its subscriptions. With an `Idempotency-Key` that was used "
                "before: the first response again, as it was then, with `Idempotency-Replayed: "
                "true`.",
            ),
            **openapi.problems(400, 401, 403, 410, 413, 415, 422, 429),
        },
        examples=[examples.NEW, examples.PENDING],
        extensions={"x-links": {"202": examples.LINKS}},
    )
    def post(self, request: Request) -> Response:
        """Record 1 to 500 paid subscriptions, all or none. `/v1/subscriptions?order=` lists them.

        The limit counts it as one request for each subscription, at most as a whole minute's.
        """
        new = new_order.run_validation(request.data)

        def record() -> Response:
            key = key_of(request)
            counting.count_more(request, key, len(new["subscriptions"]) - 1)
            order = record_order(client=client_of(request), test=key.test, **new)
            return Response(
                shown_new(order),
                status=202,
                headers={"Location": reverse("order", args=[order.id])},
            )

        response = idempotency.once(request, record)
        response["Retry-After"] = str(polling.SOONEST)
        return response

    @extend_schema(
        tags=TAGS,
        operation_id="list_orders",
        parameters=[
            *openapi.RATE_LIMIT,
            *openapi.page(),
            filters.OrderFilters,
            *openapi.KNOWN,
        ],
        responses={
            200: OpenApiResponse(OrderPage, "A page of your orders."),
            **openapi.NOT_MODIFIED,
            **openapi.problems(400, 401, 403, 429),
        },
        examples=[examples.PAGE],
    )
    def get(self, request: Request) -> HttpResponse:
        """List your orders, newest first, without the counts of their subscriptions."""
        page = paging.page_of(filters.chosen(client_of(request), request), request, NEWEST_FIRST)
        body = {"results": [listed(order) for order in page.rows], "next": page.next}
        return etags.answer(request, body, page.headers(request))


ORDER_ID = OpenApiParameter(
    "order_id",
    OpenApiTypes.UUID,
    OpenApiParameter.PATH,
    description="The `id` from the response that recorded it.",
)


@unstored
class OrderDetail(StrictView):
    scopes: ClassVar = {"get": READ}

    @extend_schema(
        tags=TAGS,
        operation_id="show_order",
        parameters=[*openapi.RATE_LIMIT, ORDER_ID, *openapi.KNOWN, openapi.RETRY_AFTER],
        responses={
            200: OpenApiResponse(OrderAnswer, "The order as it is now."),
            **openapi.NOT_MODIFIED,
            **openapi.problems(400, 401, 403, 404, 429),
        },
        examples=[examples.DONE],
        extensions={"x-links": {"200": examples.LINKS}},
    )
    def get(self, request: Request, order_id: str) -> HttpResponse:
        """Show one order, with how many of its subscriptions are in which state."""
        order = Order.objects.of(client_of(request)).filter(id=uuid_or_404(order_id)).first()
        if order is None:
            raise Http404
        headers = {} if order.completed_at else polling.pause_since(order.created_at)
        return etags.answer(request, shown(order, counts_of(order)), headers)
