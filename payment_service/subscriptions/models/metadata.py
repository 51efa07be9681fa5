"""What clients note with their subscriptions, kept so that a list finds it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from admit_one.database import bulk
from django.db import models

from .subscription import Subscription


class MetadataEntry(models.Model):
    """One entry of a subscription's metadata, which never changes: the index of the list.

    It repeats the client and the time, so that a page of the list costs the same however many
    subscriptions have the entry.
    """

    id = models.BigAutoField(primary_key=True)
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="entries", db_index=False
    )
    client = models.CharField(max_length=64)
    key = models.CharField(max_length=40)
    value = models.CharField(max_length=500)
    created_at = models.DateTimeField(help_text="of the subscription")

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["client", "key", "value", "-created_at", "-subscription"],
                name="metadata_entry_listed",
            ),
        ]

    def __str__(self) -> str:
        return f"metadata {self.key} of subscription {self.subscription_id}"


def keep_entries(subscriptions: Iterable[Subscription]) -> None:
    """Make the metadata of new subscriptions findable. Runs in the transaction that adds them."""
    bulk.insert(MetadataEntry, [entry for row in subscriptions for entry in _entries(row)])


def _entries(row: Subscription) -> Iterable[dict[str, Any]]:
    for key, value in (row.metadata or {}).items():
        yield {
            "subscription_id": row.id,
            "client": row.client,
            "key": key,
            "value": value,
            "created_at": row.created_at,
        }
