"""The HTTP API: validates requests, calls the use cases and builds the responses."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar
from uuid import UUID

from admit_one.database import together
from admit_one.web import (
    StrictSerializer,
    StrictView,
    as_text,
    client_of,
    etags,
    idempotency,
    key_of,
    openapi,
    paging,
)
from django.db import transaction
from django.http import Http404, HttpResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_control
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from rest_framework.request import Request
from rest_framework.response import Response

from . import examples, filters, lifecycle, polling, resends, services
from .models import Subscription
from .serializers import (
    Ending,
    NewSubscription,
    Renewal,
    Resending,
    SubscriptionAnswer,
    SubscriptionPage,
    new_subscription,
    shown,
    shown_all,
)

UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

# Responses contain codes and addresses, so no cache may store them.
unstored = method_decorator(cache_control(no_store=True), name="dispatch")


READ, WRITE, CODES = "subscriptions:read", "subscriptions:write", "codes:read"

SUBSCRIPTION_ID = OpenApiParameter(
    "subscription_id",
    OpenApiTypes.UUID,
    OpenApiParameter.PATH,
    description="The `id` from the response that recorded it.",
)


@unstored
class Subscriptions(StrictView):
    scopes: ClassVar = {"get": READ, "post": WRITE}
    query: ClassVar = {"get": ("limit", "cursor", *filters.FILTERS)}

    @extend_schema(
        operation_id="record_subscription",
        request=NewSubscription,
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
                description="The subscription's path: poll it until `status` is no longer "
                "`pending`.",
            ),
        ],
        responses={
            202: OpenApiResponse(
                SubscriptionAnswer,
                "Recorded, and `pending`. With an `Idempotency-Key` that was used before: the "
                "first response again, as it was then, with `Idempotency-Replayed: true`; it says "
                "`pending` even if the code has arrived or the subscription was cancelled since.",
            ),
            **openapi.problems(400, 401, 403, 410, 413, 415, 422, 429),
        },
        examples=[examples.NEW, examples.PENDING],
        extensions={"x-links": {"202": examples.LINKS}},
    )
    def post(self, request: Request) -> Response:
        """Record a paid subscription. Its access code is mailed, and shown here once it arrives."""
        new = new_subscription.run_validation(request.data)

        def record() -> Response:
            with together.transaction():
                subscription = services.record_subscription(
                    client=client_of(request), test=key_of(request).test, **new
                )
                # If it cannot be answered, nothing has happened.
                body = shown(subscription)
                location = reverse("subscription", args=[subscription.id])

            def complete() -> None:
                body["updated_at"] = as_text(subscription.updated_at)

            complete()  # right if the database has written it already, as in a larger transaction
            transaction.on_commit(complete)
            return Response(body, status=202, headers={"Location": location})

        response = idempotency.once(request, record, only_inserts=True)
        response["Retry-After"] = str(polling.SOONEST)
        return response

    @extend_schema(
        operation_id="list_subscriptions",
        parameters=[
            *openapi.RATE_LIMIT,
            *openapi.page(),
            filters.SubscriptionFilters,
            *openapi.KNOWN,
        ],
        responses={
            200: OpenApiResponse(SubscriptionPage, "A page of your subscriptions."),
            **openapi.NOT_MODIFIED,
            **openapi.problems(400, 401, 403, 429),
        },
        examples=[examples.PAGE],
    )
    def get(self, request: Request) -> HttpResponse:
        """List your subscriptions, newest first; with `updated_since`, by their last change.

        Each code has its last four characters only.
        """
        rows, order = filters.chosen(client_of(request), request)
        page = paging.page_of(rows, request, order)
        body = {"results": shown_all(page.rows), "next": page.next}
        return etags.answer(request, body, page.headers(request))


@unstored
class SubscriptionDetail(StrictView):
    scopes: ClassVar = {"get": READ}

    @extend_schema(
        operation_id="show_subscription",
        parameters=[
            *openapi.RATE_LIMIT,
            SUBSCRIPTION_ID,
            *openapi.KNOWN,
            openapi.RETRY_AFTER,
        ],
        responses={
            200: OpenApiResponse(SubscriptionAnswer, "The subscription as it is now."),
            **openapi.NOT_MODIFIED,
            **openapi.problems(400, 401, 403, 404, 429),
        },
        examples=[examples.ACTIVE],
        extensions={"x-links": {"200": examples.LINKS}},
    )
    def get(self, request: Request, subscription_id: str) -> HttpResponse:
        """Show one subscription. It is `active` once its code has arrived, until cancelled.

        Its code is shown whole to a key with the scope `codes:read`.
        """
        subscription = Subscription.objects.owned(client_of(request), uuid_or_404(subscription_id))
        if subscription is None:
            raise Http404
        body = shown(subscription, whole_code=key_of(request).may(CODES))
        return etags.answer(request, body, polling.retry_after(subscription))


class Change(StrictView):
    """A change of one subscription's state. Done again, it changes nothing."""

    scopes: ClassVar = {"post": WRITE}
    serializer: ClassVar[StrictSerializer]
    change: ClassVar[Callable[..., Subscription | None]]
    is_kept: ClassVar = False
    """Whether the answer is kept in clear, to be repeated to any key of its client."""

    def post(self, request: Request, subscription_id: str) -> Response:
        given = self.serializer.run_validation(request.data)

        def done() -> Response:
            row_id = uuid_or_404(subscription_id)
            _refuse_test_key(request, row_id)
            subscription = type(self).change(
                client=client_of(request), subscription_id=row_id, **given
            )
            if subscription is None:
                raise Http404
            subscription.refresh_from_db(fields=["updated_at"])
            whole_code = key_of(request).may(CODES) and not self.is_kept
            body = shown(subscription, whole_code=whole_code)
            return Response(body, status=202, headers=polling.retry_after(subscription))

        return self.answer(request, done)

    def answer(self, request: Request, done: Callable[[], Response]) -> Response:  # noqa: ARG002
        with transaction.atomic():  # if the answer cannot be worded, nothing has happened
            return done()


def _refuse_test_key(request: Request, subscription_id: UUID) -> None:
    """Raises `NotPossible` if the key is for tests, and the subscription is not."""
    if key_of(request).test:
        sold = Subscription.objects.of(client_of(request)).filter(id=subscription_id, test=False)
        if sold.exists():
            raise lifecycle.NotPossible(
                "the subscription is no test: expected a key that is not for tests"
            )


def changes(
    operation: str,
    request: type[StrictSerializer],
    answer: str,
    *problems: int,
    parameters: Sequence[OpenApiParameter] = (),
) -> Callable[[Any], Any]:
    """Describes a `Change` in OpenAPI."""
    return extend_schema_view(
        post=extend_schema(
            operation_id=operation,
            request=request,
            parameters=[*openapi.RATE_LIMIT, SUBSCRIPTION_ID, openapi.RETRY_AFTER, *parameters],
            responses={
                202: OpenApiResponse(SubscriptionAnswer, answer),
                **openapi.problems(400, 401, 403, 404, 409, 413, 415, 429, *problems),
            },
            examples=examples.OF_CHANGES[operation],
        )
    )


@unstored
@changes("cancel_subscription", Ending, "The subscription is `cancelled`, now or since before.")
class Cancellation(Change):
    """Cancel a subscription permanently. Cancelling it again changes nothing.

    Its code no longer works once `code_revoked_at` is set.
    """

    serializer, change = Ending(), lifecycle.cancel


@unstored
@changes("refund_subscription", Ending, "The subscription is `refunded`, now or since before.")
class Refund(Change):
    """Note that the money was paid back, which cancels the subscription permanently.

    Its code no longer works once `code_revoked_at` is set.
    """

    serializer, change = Ending(), lifecycle.refund


@unstored
@changes("mark_past_due", Ending, "The subscription is `past_due`, now or since before.")
class PastDue(Change):
    """Note that a payment is due. The code works for some days more, and is then suspended."""

    serializer, change = Ending(), lifecycle.mark_past_due


@unstored
@changes("renew_subscription", Renewal, "The subscription is paid until then.")
class Renewed(Change):
    """Note that the subscription is paid until a later time. Nothing is due any more.

    An expired or suspended code works again once `terms_applied` is true.
    """

    serializer, change = Renewal(), lifecycle.renew


@unstored
@changes(
    "resend_access_code",
    Resending,
    "Requested: `resend` says whether the student service has answered.",
    410,
    422,
    parameters=[openapi.IDEMPOTENCY_KEY, openapi.REPLAYED],
)
class Resend(Change):
    """Request that the same code be mailed again, also if a mail with it was sent before.

    To a corrected address: then mails that wait for another mailbox are not sent any more, and a
    `reason` is required. The student service mails a code again three times in 24 hours at most.
    """

    serializer, change, is_kept = Resending(), resends.request, True

    def answer(self, request: Request, done: Callable[[], Response]) -> Response:
        return idempotency.once(request, done)


CHANGES: dict[str, type[Change]] = {
    "resend": Resend,
    "cancel": Cancellation,
    "refund": Refund,
    "past-due": PastDue,
    "renew": Renewed,
}
"""By the last part of their paths."""


def uuid_or_404(text: str) -> UUID:
    """Raises 404 for a malformed id: no such subscription exists."""
    if not UUID_TEXT.fullmatch(text):
        raise Http404
    return UUID(text)
