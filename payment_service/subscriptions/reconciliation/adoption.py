"""Who owns what was recorded again: the student side never knew which client sold it."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from admit_one.web.models import ApiKey

from subscriptions.models import Subscription

RECOVERED = "recovered"
"""The client that owns what was recorded again, until somebody hands it to the one who sold it."""


class NoSuchClient(ValueError):
    """No API key belongs to the client, so nobody could see what is handed to it."""


def adopt(client: str, subscriptions: Sequence[UUID] | None) -> int:
    """Hand subscriptions that were recorded again to the client who sold them; returns how many.

    None means all of them. Raises `NoSuchClient`.
    """
    if not ApiKey.objects.filter(client=client).exists():
        raise NoSuchClient(f"no API key belongs to {client!r}; see manage.py api_key list")
    recovered = Subscription.objects.of(RECOVERED)
    if subscriptions is not None:
        recovered = recovered.filter(id__in=subscriptions)
    return recovered.update(client=client)
