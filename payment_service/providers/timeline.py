"""The providers' part of `manage.py why`: the events about one subscription."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from admit_one.messaging import Step, Wait

from .models import ProviderEvent


def of(subject: str) -> Iterator[Step | Wait | str]:
    try:
        subscription_id = UUID(subject)
    except ValueError:
        return
    for row in ProviderEvent.objects.filter(subscription_id=subscription_id):
        nothing = f", which changed nothing: {row.reason}" if row.reason else ""
        yield Step(row.received_at, f"{row.provider} reports {row.type} ({row.event_id}){nothing}")
