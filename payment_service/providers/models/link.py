"""By which of its own ids a provider means which subscription."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar
from uuid import UUID

from admit_one.database import bulk
from django.db import models

from providers.parts import LONGEST_ID

from .event import ProviderEvent


class ProviderLinkQuerySet(models.QuerySet["ProviderLink"]):
    def hold(self, provider: str, *, test: bool, ids: Iterable[str]) -> dict[str, UUID | None]:
        """Lock the rows of these ids until the commit, new or not; returns their subscriptions.

        Of two events about the same id, the later one sees what the earlier has linked. All
        transactions take the rows in the order of their ids, so none waits in a circle.
        """
        wanted = sorted(set(ids))
        rows = [{"provider": provider, "test": test, "external_id": each} for each in wanted]
        unique = ("provider", "test", "external_id")
        bulk.insert_new(ProviderLink, rows, conflict=unique, returning=("id",))
        held = self.filter(provider=provider, test=test, external_id__in=wanted)
        locked = held.order_by("external_id").select_for_update()
        return dict(locked.values_list("external_id", "subscription_id"))

    def tie(self, provider: str, *, test: bool, held: Mapping[str, UUID | None], to: UUID) -> None:
        """Link those of the held ids that have no subscription; what waited for them is due."""
        new = sorted(each for each, subscription_id in held.items() if subscription_id is None)
        if not new:
            return
        rows = self.filter(provider=provider, test=test, external_id__in=new)
        rows.update(subscription_id=to)
        waiting = ProviderEvent.objects.waiting_for(provider, test=test, ids=new)
        waiting.update(state=ProviderEvent.State.RECEIVED)


class ProviderLink(models.Model):
    """One id of a provider: of a checkout, a subscription, an invoice or a payment of theirs.

    It has no subscription while events name it and none has said which subscription it means.
    Tests have ids of their own: nothing that is about no real money finds what was sold.
    """

    id = models.BigAutoField(primary_key=True)
    provider = models.CharField(max_length=32)
    test = models.BooleanField()
    external_id = models.CharField(max_length=LONGEST_ID)
    subscription_id = models.UUIDField(null=True)

    objects = ProviderLinkQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["provider", "test", "external_id"], name="provider_link_once"
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["subscription_id"],
                name="provider_link_subject",
                condition=models.Q(subscription_id__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.external_id} of {self.provider}"
