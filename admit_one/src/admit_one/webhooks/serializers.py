"""What the API takes and answers about webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from admit_one.web import StrictSerializer, VisibleText, openapi

from . import urls
from .models import LONGEST_URL, Delivery, Endpoint

STATES = Delivery.State.values


class UrlField(VisibleText):
    """Where webhooks are sent."""

    PATTERN, FORMAT = urls.PATTERN, "uri"

    def to_internal_value(self, data: Any) -> str:
        """The URL, as it was given."""
        url = super().to_internal_value(data)
        try:
            urls.check(url)
        except urls.NotAllowed as error:
            raise serializers.ValidationError(str(error), code="url") from None
        return url


class EventField(VisibleText):
    """The type of an event."""

    TAKES: ClassVar = tuple(settings.WEBHOOK_EVENTS)

    def to_internal_value(self, data: Any) -> str:
        """The type, if this service has such events."""
        event = super().to_internal_value(data)
        if event not in self.TAKES:
            expected = f"expected one of {', '.join(self.TAKES)}"
            raise serializers.ValidationError(expected, code="event")
        return event


def _events(**options: Any) -> serializers.ListField:
    return serializers.ListField(
        child=EventField(max_length=64), min_length=1, max_length=len(EventField.TAKES), **options
    )


class NewEndpoint(StrictSerializer):
    """A URL, and what is to be sent there."""

    url = UrlField(max_length=LONGEST_URL, help_text="https, on the internet")
    events = _events(help_text="the types that it listens to")


class ChangedEndpoint(StrictSerializer):
    """What is to be changed."""

    url = UrlField(required=False, max_length=LONGEST_URL, help_text="https, on the internet")
    events = _events(required=False, help_text="the types that it listens to from now on")


class DeliveryFilters(StrictSerializer):
    """The query parameter that chooses deliveries."""

    state = serializers.ChoiceField(
        STATES,
        required=False,
        help_text="Only those in this state.",
        error_messages={"invalid_choice": f"expected one of {', '.join(STATES)}"},
    )


new_endpoint, changed_endpoint = NewEndpoint(), ChangedEndpoint()


@extend_schema_field(
    {"anyOf": [{"type": "string", "enum": STATES}, {"type": "string", "maxLength": 32}]}
)
class StateField(serializers.CharField):
    """One of those known today. A generated client must not fail when there are more."""


class EndpointAnswer(serializers.Serializer[Any]):
    """An endpoint as its owner sees it."""

    # For the schema only: `shown` makes the JSON.
    id = serializers.UUIDField(help_text="names it in paths")
    url = serializers.CharField(max_length=LONGEST_URL, help_text="as it was given")
    events = serializers.ListField(
        child=serializers.CharField(max_length=64), help_text="each once, in alphabetical order"
    )
    created_at = serializers.DateTimeField(help_text="when it was made")
    previous_secret_until = serializers.DateTimeField(
        allow_null=True,
        help_text="until when each webhook has a second signature, by the secret before the last "
        "rotation; null if there was none",
    )
    failing_since = serializers.DateTimeField(
        allow_null=True,
        help_text="of its attempts, none has succeeded since then; null: the last one has",
    )
    disabled_at = serializers.DateTimeField(
        allow_null=True, help_text="since when nothing is sent to it; null unless it is disabled"
    )
    disabled_reason = serializers.CharField(
        allow_null=True, max_length=200, help_text="human-readable; null unless it is disabled"
    )


class SecretAnswer(EndpointAnswer):
    """An endpoint with its new secret."""

    secret = serializers.CharField(
        allow_null=True,
        max_length=64,
        help_text="`whsec_` and base64; shown in this answer only: null if an `Idempotency-Key` "
        "repeats it. If you have lost it, rotate it",
    )


class EndpointPage(serializers.Serializer[Any]):
    """A page of endpoints."""

    results = EndpointAnswer(many=True, help_text="at most `limit`")
    next = openapi.NextPage()


class DeliveryAnswer(serializers.Serializer[Any]):
    """One event on its way to one endpoint."""

    id = serializers.UUIDField(help_text="the `webhook-id` of each of its requests")
    type = serializers.CharField(max_length=64, help_text="of the event")
    state = StateField(
        help_text="`pending` until the endpoint answers with success, then `delivered`; `failed` "
        "after three days without; others may be added"
    )
    attempts = serializers.IntegerField(min_value=0, help_text="how often it was sent")
    created_at = serializers.DateTimeField(help_text="when it happened")
    next_attempt_at = serializers.DateTimeField(
        allow_null=True, help_text="when it is sent next, at the earliest; null unless `pending`"
    )
    finished_at = serializers.DateTimeField(
        allow_null=True, help_text="when it was delivered, or given up; null while `pending`"
    )
    last_status = serializers.IntegerField(
        allow_null=True,
        min_value=100,
        max_value=999,
        help_text="the HTTP status of the last attempt; null if there was no answer",
    )
    last_error = serializers.CharField(
        allow_null=True, max_length=200, help_text="human-readable; null unless the last one failed"
    )


class DeliveryPage(serializers.Serializer[Any]):
    """A page of deliveries."""

    results = DeliveryAnswer(many=True, help_text="at most `limit`")
    next = openapi.NextPage()


def shown(endpoint: Endpoint) -> dict[str, Any]:
    """The endpoint as JSON, without its secrets."""
    return {
        "id": str(endpoint.pk),
        "url": endpoint.url,
        "events": endpoint.events,
        "created_at": _text(endpoint.created_at),
        "previous_secret_until": _text(endpoint.previous_until),
        "failing_since": _text(endpoint.failing_since),
        "disabled_at": _text(endpoint.disabled_at),
        "disabled_reason": endpoint.disabled_reason or None,
    }


def shown_delivery(delivery: Delivery) -> dict[str, Any]:
    """The delivery as JSON, without its body."""
    return {
        "id": str(delivery.pk),
        "type": delivery.type,
        "state": str(delivery.state),
        "attempts": delivery.attempts,
        "created_at": _text(delivery.created_at),
        "next_attempt_at": _text(delivery.next_attempt_at),
        "finished_at": _text(delivery.finished_at),
        "last_status": delivery.last_status,
        "last_error": delivery.last_error or None,
    }


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
