"""What a client does about one endpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from admit_one.web import StrictView, openapi
from admit_one.webhooks import endpoints, examples
from admit_one.webhooks.serializers import (
    DeliveryAnswer,
    EndpointAnswer,
    SecretAnswer,
    shown,
    shown_delivery,
)

from .common import (
    ENDPOINT_ID,
    SCOPE,
    TAGS,
    existing,
    owner_of,
    possible,
    unstored,
    uuid_or_404,
)


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
        endpoint, secret = existing(endpoints.rotate(owner_of(request), uuid_or_404(endpoint_id)))
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
        endpoint = endpoints.enable(owner_of(request), uuid_or_404(endpoint_id))
        return Response(shown(existing(endpoint)))


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
        sent = possible(lambda: endpoints.send_test(owner_of(request), uuid_or_404(endpoint_id)))
        return Response(shown_delivery(existing(sent)), status=202)
