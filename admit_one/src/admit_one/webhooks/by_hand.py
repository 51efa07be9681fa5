"""What operators decide about webhooks, of all clients. Each act is on record."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlsplit
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from admit_one.acts.models import Act

from . import endpoints, finishing
from .endpoints import AREA, NotPossible
from .models import Delivery, Endpoint


def existing() -> QuerySet[Endpoint]:
    """All endpoints that no client has deleted."""
    return Endpoint.objects.filter(deleted_at__isnull=True).order_by("client", "created_at")


def deliveries(endpoint_id: UUID, state: str | None = None) -> QuerySet[Delivery]:
    """What is sent to an endpoint, the newest first."""
    rows = Delivery.objects.filter(endpoint=endpoint_id).order_by("-created_at", "-pk")
    return rows if state is None else rows.filter(state=state)


def where(endpoint: Endpoint) -> str:
    """Its URL without path and query, which may hold a secret of the receiver."""
    parts = urlsplit(endpoint.url)
    return f"{parts.scheme}://{parts.netloc}"


def standing(endpoint: Endpoint) -> str:
    """Whether it gets anything; if not, since when and why."""
    if endpoint.disabled_at is not None:
        return f"disabled {_minute(endpoint.disabled_at)}: {endpoint.disabled_reason}"
    if endpoint.failing_since is not None:
        return f"failing since {_minute(endpoint.failing_since)}"
    return "enabled"


@transaction.atomic
def disable(endpoint_id: UUID, *, by: str | None, reason: str) -> None:
    """Send nothing to it until it is enabled. Raises `NotPossible`."""
    endpoint = _locked(endpoint_id)
    if endpoint.disabled_at is None:
        finishing.disable(endpoint, "by an operator of this service", timezone.now())
        _record(endpoint, "disable", by, reason)


@transaction.atomic
def enable(endpoint_id: UUID, *, by: str | None, reason: str) -> None:
    """Send to it again, also what has waited. Raises `NotPossible`."""
    endpoint = _locked(endpoint_id)
    if endpoints.reenable(endpoint):
        _record(endpoint, "enable", by, reason)


@transaction.atomic
def resend(webhook_id: UUID, *, by: str | None, reason: str) -> None:
    """Send a delivery again now, with the same webhook-id. Raises `NotPossible`."""
    kept = Delivery.objects.filter(endpoint__deleted_at__isnull=True)
    delivery = kept.select_for_update(of=("self",)).filter(pk=webhook_id).first()
    if delivery is None:
        raise NotPossible(f"there is no webhook {webhook_id}")
    endpoints.send_again(delivery)
    Act.draft(
        AREA, "resend", by=by, reason=reason, target=str(webhook_id), facts={"type": delivery.type}
    ).save()


def _locked(endpoint_id: UUID) -> Endpoint:
    endpoint = existing().select_for_update().filter(pk=endpoint_id).first()
    if endpoint is None:
        raise NotPossible(f"there is no webhook endpoint {endpoint_id}")
    return endpoint


def _record(endpoint: Endpoint, action: str, by: str | None, reason: str) -> None:
    target, client = str(endpoint.pk), endpoint.client
    Act.draft(AREA, action, by=by, reason=reason, target=target, subject=client).save()


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"
