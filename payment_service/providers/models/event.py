"""The inbox of payment providers: every event that was verified, once, and what became of it."""

from __future__ import annotations

from typing import ClassVar, Self
from uuid import UUID

from admit_one.sealing import cipher
from django.db import models
from django.utils import timezone
from uuid_utils.compat import uuid7

from providers.parts import LONGEST_ID

BODY_PURPOSE = "provider-event"

LONGEST_REASON = 300


class ProviderEventQuerySet(models.QuerySet["ProviderEvent"]):
    def due(self) -> Self:
        """Those that can be handled now, in the order in which they happened."""
        return self.filter(state=ProviderEvent.State.RECEIVED).order_by("created_at", "id")

    def waiting_for(self, provider: str, *, test: bool, ids: list[str]) -> Self:
        """Those that find no subscription by these ids."""
        return self.filter(
            provider=provider, test=test, waits_for__in=ids, state=ProviderEvent.State.UNMATCHED
        )

    def unnoted(self) -> Self:
        """Open ones of which nobody knows yet whom they name."""
        return self.filter(persons_noted=False, handled_at__isnull=True, body__isnull=False)

    def listed(self, state: str) -> Self:
        return self.filter(state=state).order_by("-received_at", "-id")


class ProviderEvent(models.Model):
    """One event. It is open until it is handled or ignored, and keeps its body until then."""

    class State(models.TextChoices):
        RECEIVED = "received", "to be handled, within a minute"
        UNMATCHED = "unmatched", "there is no subscription for it, or something is missing for one"
        FAILED = "failed", "it holds something that cannot be, or handling it failed"
        HANDLED = "handled", "its subscription is as it says"
        IGNORED = "ignored", "it changes no subscription, or was closed by an operator"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    provider = models.CharField(max_length=32)
    event_id = models.CharField(max_length=LONGEST_ID, help_text="the provider's")
    type = models.CharField(max_length=LONGEST_ID)
    test = models.BooleanField(help_text="about no real money")
    created_at = models.DateTimeField(help_text="by the provider's clock")
    amount = models.BigIntegerField(null=True, help_text="in minor units of the currency")
    currency = models.CharField(max_length=3, default="", blank=True, help_text="ISO 4217")
    body = models.BinaryField(null=True, help_text="sealed; null if nobody needs it any more")
    state = models.CharField(max_length=16, choices=State.choices, default=State.RECEIVED)
    reason = models.CharField(max_length=LONGEST_REASON, default="", blank=True)
    waits_for = models.CharField(
        max_length=LONGEST_ID, default="", blank=True, help_text="the provider's id it knows"
    )
    subscription_id = models.UUIDField(null=True)
    received_at = models.DateTimeField(default=timezone.now)
    handled_at = models.DateTimeField(null=True, help_text="null while it is open")
    persons_noted = models.BooleanField(
        default=False,
        db_default=False,
        help_text="whether it is found by whom it names, while it is open",
    )

    objects = ProviderEventQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["provider", "event_id"], name="provider_event_once"),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["created_at", "id"],
                name="provider_event_due",
                condition=models.Q(state="received"),
            ),
            models.Index(
                fields=["provider", "test", "waits_for"],
                name="provider_event_waits",
                condition=models.Q(state="unmatched"),
            ),
            models.Index(fields=["state", "-received_at", "-id"], name="provider_event_listed"),
            models.Index(
                fields=["subscription_id"],
                name="provider_event_subject",
                condition=models.Q(subscription_id__isnull=False),
            ),
            models.Index(
                fields=["handled_at"],
                name="provider_event_ended",
                condition=models.Q(handled_at__isnull=False),
            ),
            models.Index(
                fields=["id"],
                name="provider_event_unnoted",
                condition=models.Q(
                    persons_noted=False, handled_at__isnull=True, body__isnull=False
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} event {self.event_id}"

    def sealed(self, body: bytes) -> bytes:
        return cipher.seal(body, BODY_PURPOSE, self.id)

    def opened(self) -> bytes | None:
        """The body as it was sent; none if it is no longer kept. Raises `Unsealable`."""
        return None if self.body is None else cipher.unseal(self.body, BODY_PURPOSE, self.id)

    def wait(self, reason: str, *, waits_for: str = "") -> None:
        self.state, self.waits_for = self.State.UNMATCHED, waits_for
        self.reason = reason[:LONGEST_REASON]

    def fail(self, reason: str) -> None:
        self.state, self.reason = self.State.FAILED, reason[:LONGEST_REASON]

    def handled(self, subscription_id: UUID, reason: str = "") -> None:
        """`reason`: why it changed nothing, if so."""
        self.state, self.subscription_id = self.State.HANDLED, subscription_id
        self.reason, self.handled_at = reason[:LONGEST_REASON], timezone.now()

    def ignore(self, reason: str) -> None:
        """Its body, which nobody will read, is not kept."""
        self.state, self.reason, self.body = self.State.IGNORED, reason[:LONGEST_REASON], None
        self.handled_at = timezone.now()


AREA = "provider_events"
"""Of the acts that are on record."""

OPEN = (ProviderEvent.State.RECEIVED, ProviderEvent.State.UNMATCHED, ProviderEvent.State.FAILED)
"""The states of events that are kept until somebody or something ends them."""
