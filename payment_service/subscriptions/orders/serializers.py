"""An order as JSON, in and out."""

from __future__ import annotations

from typing import Any, Literal

from admit_one.web import StrictSerializer, WholeNumber, as_text, openapi
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers

from subscriptions.models import Order
from subscriptions.own_words import (
    MAX_REFERENCE,
    MetadataAnswer,
    MetadataField,
    OwnReference,
)
from subscriptions.serializers import NewSubscription, new_subscription

from .counts import COUNTED

MAX_SEATS = 500
MAX_FAULTY = 10
"""Seats whose faults one answer lists."""


class SeatsField(serializers.Field[Any, Any, Any, Any]):
    """The subscriptions of an order. A fault names its seat by its index."""

    default_error_messages = {  # noqa: RUF012 (DRF's way)
        "invalid": "expected a JSON array of subscriptions",
        "blank": "expected at least one subscription",
        "max_length": f"expected at most {MAX_SEATS} subscriptions",
        "required": "expected a value, got none",
        "null": "expected a value, got null",
    }

    def to_internal_value(self, data: Any) -> list[dict[str, Any]]:
        """The validated seats. Raises `ValidationError` with the faults of the first few."""
        if not isinstance(data, list):
            self.fail("invalid")
        if not data:
            self.fail("blank")
        if len(data) > MAX_SEATS:
            self.fail("max_length")
        seats, faults = [], {}
        for index, seat in enumerate(data):
            try:
                seats.append(new_subscription.run_validation(seat))
            except serializers.ValidationError as error:
                faults[str(index)] = error.detail
            if len(faults) == MAX_FAULTY:
                break
        if faults:
            raise serializers.ValidationError(faults)
        return seats

    def to_representation(self, value: Any) -> Any:
        return value


class SeatsSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = SeatsField

    def map_serializer_field(
        self, auto_schema: AutoSchema, direction: Literal["request", "response"]
    ) -> dict[str, Any]:
        seat = auto_schema.resolve_serializer(NewSubscription, direction)
        return {"type": "array", "items": seat.ref, "minItems": 1, "maxItems": MAX_SEATS}


class NewOrder(StrictSerializer):
    """Subscriptions that were paid together."""

    subscriptions = SeatsField(help_text="each as in POST /v1/subscriptions; all or none")
    reference = OwnReference()
    metadata = MetadataField()


new_order = NewOrder()
"""Shared by all requests: building its fields costs more than validating a request."""


class OrderCounts(serializers.Serializer[Any]):
    """How many of an order's subscriptions are in which state. Each is counted once."""

    pending = WholeNumber(min_value=0, help_text="wait for their code")
    active = WholeNumber(min_value=0, help_text="have their code")
    past_due = WholeNumber(min_value=0, help_text="the same, and a payment is due")
    expired = WholeNumber(min_value=0, help_text="their time is up; some may still get their code")
    cancelled = WholeNumber(min_value=0, help_text="cancelled, but not refunded")
    refunded = WholeNumber(min_value=0, help_text="paid back")
    failed = WholeNumber(
        min_value=0, help_text="`pending` with a `problem`: the code cannot be issued yet"
    )


class ListedOrder(serializers.Serializer[Any]):
    """An order in a list: without its counts."""

    # For the schema only: `listed` and `shown` make the JSON.
    id = serializers.UUIDField(help_text="names it in paths, and in `/v1/subscriptions?order=`")
    reference = serializers.CharField(
        allow_null=True, max_length=MAX_REFERENCE, help_text="as it was reported"
    )
    metadata = MetadataAnswer()
    seats = WholeNumber(min_value=1, max_value=MAX_SEATS, help_text="its subscriptions")
    created_at = serializers.DateTimeField(help_text="when it was recorded")
    completed_at = serializers.DateTimeField(
        allow_null=True,
        help_text="when each of its subscriptions had its code, had failed or was cancelled; null "
        "until then, and fixed from then on",
    )


class OrderAnswer(ListedOrder):
    """An order as its owner sees it."""

    counts = OrderCounts()


class OrderPage(serializers.Serializer[Any]):
    """A page of orders."""

    results = ListedOrder(many=True, help_text="at most `limit`")
    next = openapi.NextPage()


def listed(order: Order) -> dict[str, Any]:
    """The order as JSON, as far as its own row says."""
    return {
        "id": str(order.id),
        "reference": order.reference,
        "metadata": order.metadata or {},
        "seats": order.seats,
        "created_at": as_text(order.created_at),
        "completed_at": as_text(order.completed_at),
    }


def shown(order: Order, counts: dict[str, int]) -> dict[str, Any]:
    """The order as JSON, with the counts of its seats."""
    return {**listed(order), "counts": counts}


def shown_new(order: Order) -> dict[str, Any]:
    """The same of an order that is being recorded: no seat has its code yet."""
    return shown(order, {**dict.fromkeys(COUNTED, 0), "pending": order.seats})
