"""What deliveries keep about erased subjects: a receiver's words about them.

Their bodies hold ids and states only, so those that are pending are sent all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from .models import Delivery


def rows(subjects: Sequence[str]) -> Iterator[QuerySet[Any]]:
    """What was sent about these subjects, or will be."""
    yield Delivery.objects.filter(subject__in=[UUID(subject) for subject in subjects])


def erase(subjects: Sequence[str]) -> None:
    for deliveries in rows(subjects):
        deliveries.update(last_error="")
