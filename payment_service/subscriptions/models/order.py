"""Subscriptions that were recorded together, and what became of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Self
from uuid import UUID

from django.db import models
from django.utils import timezone
from uuid_utils.compat import uuid7

from .listing import NEWEST_FIRST


class OrderQuerySet(models.QuerySet["Order"]):
    def of(self, client: str) -> Self:
        """The orders that this client owns; it sees no others."""
        return self.filter(client=client)

    def locked_open(self, orders: Collection[UUID]) -> list[UUID]:
        """Lock those of these orders that are not complete, until the transaction ends."""
        still_open = self.filter(id__in=orders, completed_at__isnull=True).order_by("id")
        return list(still_open.select_for_update(no_key=True).values_list("id", flat=True))


class Order(models.Model):
    """Up to 500 subscriptions, its seats, that a client recorded all together.

    It is complete once every seat has its code, has failed or is cancelled, and stays complete.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    client = models.CharField(max_length=64, help_text="the API client that owns it")
    test = models.BooleanField(default=False, help_text="recorded with a test key of its client")
    reference = models.CharField(  # noqa: DJ001 (none is not empty, and its index has no row)
        max_length=128, null=True, help_text="the client's own name of it; null if it has none"
    )
    metadata = models.JSONField(null=True, help_text="the client's own notes; null without any")
    seats = models.PositiveIntegerField(help_text="how many subscriptions it has")
    created_at = models.DateTimeField(default=timezone.now)
    completed_at = models.DateTimeField(
        null=True, help_text="when its last seat was no longer pending, for the first time"
    )

    objects = OrderQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["client", *NEWEST_FIRST], name="order_newest"),
            models.Index(
                fields=["client", "reference", *NEWEST_FIRST],
                name="order_of_reference",
                condition=models.Q(reference__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"order {self.id}"
