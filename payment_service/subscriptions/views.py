"""The HTTP door: it checks what comes in, calls the use case, and words the answer."""

from __future__ import annotations

import re
from uuid import UUID

from admit_one.web import idempotency, paging
from admit_one.web.api_keys import client_of
from admit_one.web.openapi import problems
from django.http import Http404
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_control
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from . import services
from .models import Subscription
from .serializers import (
    NewSubscription,
    SubscriptionAnswer,
    SubscriptionPage,
    new_subscription,
    shown,
)

UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

# Answers hold codes and addresses: no cache on the way keeps them.
unstored = method_decorator(cache_control(no_store=True), name="dispatch")


@unstored
class Subscriptions(APIView):
    @extend_schema(
        operation_id="record_subscription",
        request=NewSubscription,
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                location=OpenApiParameter.HEADER,
                description="1 to 255 visible ASCII characters. A repeated request with the same "
                "key is answered with the first result and changes nothing.",
            ),
            OpenApiParameter(
                "Location",
                location=OpenApiParameter.HEADER,
                response=[202],
                description="Look here until `status` is not `pending` any more.",
            ),
            OpenApiParameter(
                "Idempotency-Replayed",
                location=OpenApiParameter.HEADER,
                response=[202],
                description="`true` if this is the first result again.",
            ),
        ],
        responses={202: SubscriptionAnswer, **problems(400, 401, 413, 415, 422, 503)},
    )
    def post(self, request: Request) -> Response:
        """Record a paid subscription. Its access code is mailed, and shown here once it came."""
        new = new_subscription.run_validation(request.data)

        def record() -> Response:
            subscription = services.record_subscription(client=client_of(request), **new)
            return Response(
                shown(subscription),
                status=202,
                headers={"Location": reverse("subscription", args=[subscription.id])},
            )

        return idempotency.once(request, record)

    @extend_schema(
        operation_id="list_subscriptions",
        parameters=[
            OpenApiParameter("limit", OpenApiTypes.INT, description="1 to 100, else 50"),
            OpenApiParameter("cursor", description="from `next`; it is opaque"),
        ],
        responses={200: OpenApiResponse(SubscriptionPage), **problems(400, 401, 503)},
    )
    def get(self, request: Request) -> Response:
        """Your subscriptions, newest first."""
        mine = Subscription.objects.of(client_of(request))
        page, following = paging.page_of(mine, request)
        return Response({"results": [shown(row) for row in page], "next": following})


@unstored
class SubscriptionDetail(APIView):
    @extend_schema(
        operation_id="show_subscription",
        parameters=[OpenApiParameter("subscription_id", OpenApiTypes.UUID, OpenApiParameter.PATH)],
        responses={200: SubscriptionAnswer, **problems(401, 404, 503)},
    )
    def get(self, request: Request, subscription_id: str) -> Response:
        """One subscription. `status` is `active` once its code came, until it is `cancelled`."""
        mine = Subscription.objects.of(client_of(request))
        subscription = mine.filter(id=_id(subscription_id)).first()
        if subscription is None:
            raise Http404
        return Response(shown(subscription))


@unstored
class Cancellation(APIView):
    @extend_schema(
        operation_id="cancel_subscription",
        request=None,
        parameters=[OpenApiParameter("subscription_id", OpenApiTypes.UUID, OpenApiParameter.PATH)],
        responses={202: SubscriptionAnswer, **problems(400, 401, 404, 413, 415, 503)},
    )
    def post(self, request: Request, subscription_id: str) -> Response:
        """Cancel a subscription for good. To cancel again changes nothing.

        Its code lets nobody in once `code_revoked_at` is there.
        """
        if request.data != {}:
            raise ParseError("expected no body, or {}: what is cancelled stands in the path")
        subscription = services.cancel_subscription(
            client=client_of(request), subscription_id=_id(subscription_id)
        )
        if subscription is None:
            raise Http404
        return Response(shown(subscription), status=202)


def _id(text: str) -> UUID:
    """Raises 404: a malformed id is a thing that does not exist."""
    if not UUID_TEXT.fullmatch(text):
        raise Http404
    return UUID(text)
