"""Where clients want to hear of what happens, and each thing that is to be sent there."""

from __future__ import annotations

from typing import ClassVar, Self

from django.db import models
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from admit_one.database.clock import WrittenNow
from admit_one.sealing import Sealed

SECRET_PURPOSE, PREVIOUS_PURPOSE = "webhook-secret", "webhook-previous-secret"

LONGEST_URL = 2_000


class EndpointQuerySet(models.QuerySet["Endpoint"]):
    def of(self, client: str, *, test: bool) -> Self:
        """Those that a client has made with such keys; it sees no others."""
        return self.filter(client=client, test=test, deleted_at__isnull=True)

    def ready(self) -> Self:
        """Those with a delivery that is due, which may be tried now."""
        waiting = Delivery.objects.due().filter(endpoint=models.OuterRef("pk"))
        rested = models.Q(resume_at__isnull=True) | models.Q(resume_at__lte=Now())
        enabled = self.filter(rested, disabled_at__isnull=True, deleted_at__isnull=True)
        return enabled.filter(models.Exists(waiting))


class Endpoint(models.Model):
    """A URL to which some events of a client are sent."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    client = models.CharField(max_length=64, help_text="the API client that owns it")
    test = models.BooleanField(
        default=False, db_default=False, help_text="made with a test key: hears of tests only"
    )
    url = models.CharField(max_length=LONGEST_URL)
    events = models.JSONField(help_text="the types that it listens to")
    secret = models.BinaryField(help_text="sealed")
    previous_secret = models.BinaryField(null=True, help_text="sealed; null unless rotated")
    previous_until = models.DateTimeField(
        null=True, help_text="until when the previous secret signs, too"
    )
    created_at = models.DateTimeField(db_default=WrittenNow())

    failures = models.PositiveIntegerField(
        default=0, db_default=0, help_text="since it last answered with success"
    )
    failing_since = models.DateTimeField(null=True, help_text="null unless the last attempt failed")
    resume_at = models.DateTimeField(null=True, help_text="nothing is sent before; null: at once")
    disabled_at = models.DateTimeField(null=True, help_text="null unless nothing is sent to it")
    disabled_reason = models.CharField(max_length=200, default="", db_default="", blank=True)
    enabled_at = models.DateTimeField(
        null=True, help_text="when it was last enabled again; null unless it was disabled before"
    )
    deleted_at = models.DateTimeField(
        null=True, help_text="by its client; the row goes after its deliveries"
    )

    objects = EndpointQuerySet.as_manager()

    class Meta:
        verbose_name = "webhook endpoint"
        default_permissions = ("view",)
        permissions: ClassVar = [
            ("work_on_endpoint", "Can enable and disable webhook endpoints, and resend webhooks"),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["client", "created_at", "id"],
                name="webhooks_endpoint_client",
                condition=models.Q(deleted_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"webhook endpoint {self.id}"


SEALED = (
    Sealed(Endpoint, "secret", SECRET_PURPOSE),
    Sealed(Endpoint, "previous_secret", PREVIOUS_PURPOSE),
)
"""The columns that webhooks seal."""


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def due(self) -> Self:
        """Those that are due by the database's clock; the longest waiting come first."""
        waiting = self.filter(state=Delivery.State.PENDING, next_attempt_at__lte=Now())
        return waiting.order_by("next_attempt_at", "id")


class Delivery(models.Model):
    """One event that is sent to one endpoint, until it answers with success.

    pending → delivered · failed (after three days) → pending (sent again by hand)

    While a worker sends it, `next_attempt_at` is when that worker counts as dead: then it is due
    again. Its endpoint may be gone, or disabled; then it waits, and nobody looks at it.
    """

    class State(models.TextChoices):
        PENDING = "pending", "waits to be sent, or to be sent again"
        DELIVERED = "delivered", "was answered with success"
        FAILED = "failed", "was given up after three days"

    id = models.UUIDField(primary_key=True, default=uuid7, help_text="the webhook-id")
    # Without a constraint: who has known of the endpoint for some seconds may write to a dead one.
    endpoint = models.ForeignKey(
        Endpoint,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="deliveries",
    )
    type = models.CharField(max_length=64)
    subject = models.UUIDField(null=True, help_text="what it is about, for `manage.py why`")
    body = models.TextField(help_text="the same bytes in each attempt")
    state = models.CharField(
        max_length=16, choices=State.choices, default=State.PENDING, db_default=State.PENDING
    )
    attempts = models.PositiveIntegerField(
        default=0, db_default=0, help_text="the number of the last one names its claim"
    )
    tries = models.PositiveIntegerField(
        default=0, db_default=0, help_text="attempts since it was written, or sent again by hand"
    )
    created_at = models.DateTimeField(db_default=WrittenNow())
    since = models.DateTimeField(
        db_default=Now(), help_text="from when on it is tried for three days"
    )
    next_attempt_at = models.DateTimeField(null=True, db_default=Now())
    finished_at = models.DateTimeField(null=True, help_text="null while it is pending")
    last_status = models.PositiveSmallIntegerField(null=True, help_text="null without an answer")
    last_error = models.CharField(max_length=200, default="", db_default="", blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = "webhook delivery"
        verbose_name_plural = "webhook deliveries"
        default_permissions = ()  # who may look at an endpoint sees what is sent to it
        indexes: ClassVar = [
            models.Index(
                fields=["endpoint", "next_attempt_at", "id"],
                name="webhooks_delivery_due",
                condition=models.Q(state="pending"),
            ),
            models.Index(fields=["endpoint", "created_at", "id"], name="webhooks_delivery_listed"),
            models.Index(fields=["subject", "created_at"], name="webhooks_delivery_subject"),
            # Those that are not delivered are few, and are looked for among many.
            models.Index(
                fields=["endpoint", "state", "created_at", "id"],
                name="webhooks_delivery_open",
                condition=models.Q(state__in=["pending", "failed"]),
            ),
        ]

    def __str__(self) -> str:
        return f"webhook {self.id} ({self.type})"
