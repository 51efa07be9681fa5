"""What `manage.py why` reports of the webhooks about one thing."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from admit_one.messaging import Step, Wait, clock

from .models import Delivery

LATEST = 20
"""Deliveries that are reported: a code may be redeemed thousands of times."""

State = Delivery.State


def of(subject: UUID) -> Iterator[Step | Wait]:
    """What was sent about it, and what waits to be."""
    about = Delivery.objects.filter(subject=subject).select_related("endpoint")
    for delivery in reversed(about.order_by("-created_at")[:LATEST]):
        yield Step(delivery.created_at, f"{_name(delivery)} written")
        if delivery.finished_at is not None:
            attempts = "attempt" if delivery.attempts == 1 else "attempts"
            ended = f"{delivery.state} after {delivery.attempts} {attempts}"
            yield Step(delivery.finished_at, f"{_name(delivery)} {ended}")
        elif wait := _wait(delivery):
            yield wait


def _name(delivery: Delivery) -> str:
    return f"webhook {delivery.type} to endpoint {delivery.endpoint_id}"


def _wait(delivery: Delivery) -> Wait | None:
    error = f": {delivery.last_error}" if delivery.last_error else ""
    why = f"{_name(delivery)} is not delivered, attempt {delivery.attempts}{error}"
    if delivery.endpoint.disabled_at is not None:
        reason = delivery.endpoint.disabled_reason
        return Wait(why, f"The endpoint is disabled: {reason}. Its client enables it.", stuck=True)
    if delivery.next_attempt_at is None:
        return None
    return Wait(why, f"A Celery worker sends it at {clock(delivery.next_attempt_at)}.")
