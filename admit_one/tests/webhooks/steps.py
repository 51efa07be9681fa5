"""Steps that the tests of webhooks share."""

from __future__ import annotations

from datetime import timedelta

from admit_one.webhooks import About, endpoints, report, send_due
from admit_one.webhooks.endpoints import Owner
from admit_one.webhooks.models import Delivery, Endpoint
from django.db import transaction
from django.utils import timezone

SHOP = Owner("shop", test=False)
MADE, ENDED = "thing.made", "thing.ended"

THING = About({"thing_id": "t-1", "state": "made"}, client="shop")


def an_endpoint(url: str, *events: str, owner: Owner = SHOP) -> tuple[Endpoint, str]:
    """An endpoint and its secret."""
    return endpoints.create(owner, url=url, events=events or (MADE, ENDED))


@transaction.atomic
def happen(event: str = MADE, *things: About) -> None:
    report(event, things or (THING,))


def send() -> None:
    """What the task does."""
    send_due(lambda: True, lambda: False)


def the_delivery() -> Delivery:
    return Delivery.objects.get()


def the_endpoint() -> Endpoint:
    return Endpoint.objects.get()


def make_due() -> None:
    """Let all pauses be over: the longest, of those that were tried most, as the last."""
    for delivery in Delivery.objects.filter(state="pending"):
        since = timedelta(seconds=60 - delivery.tries)
        Delivery.objects.filter(pk=delivery.pk).update(next_attempt_at=timezone.now() - since)
    Endpoint.objects.update(resume_at=None)


def days_pass(days: float) -> None:
    """Let what is known be older, and all pauses be over."""
    ago = timedelta(days=days)
    for delivery in Delivery.objects.all():
        Delivery.objects.filter(pk=delivery.pk).update(since=delivery.since - ago)
    for endpoint in Endpoint.objects.all():
        for name in ("failing_since", "enabled_at"):
            if (known := getattr(endpoint, name)) is not None:
                Endpoint.objects.filter(pk=endpoint.pk).update(**{name: known - ago})
    make_due()
