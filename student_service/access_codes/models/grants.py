"""Runs of the payment side that were answered here, and the grants that wait for their turn."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now


class AnsweredRunQuerySet(models.QuerySet["AnsweredRun"]):
    def waiting(self) -> AnsweredRunQuerySet:
        """Those for which grants wait."""
        return self.filter(models.Exists(WaitingGrant.objects.filter(run=models.OuterRef("pk"))))

    def decided(self) -> AnsweredRunQuerySet:
        """Those about which an operator has decided, and those that are too old."""
        return self.exclude(decision="")


class AnsweredRun(models.Model):
    """A reconciliation of the payment side, with the window that its first request asked about.

    Grants are reported only for what was paid in that window.
    """

    class Decision(models.TextChoices):
        LIFTED = "lifted", "its grants do not count towards the cap"
        REFUSED = "refused", "it gets no more grants"
        FORGOTTEN = "forgotten", "it is too old to get any"

    run_id = models.UUIDField(primary_key=True)
    since = models.DateTimeField(help_text="start of the window")
    until = models.DateTimeField(help_text="end of the window, exclusive")
    answered_at = models.DateTimeField(db_default=Now(), help_text="its first request")
    decision = models.CharField(
        max_length=16, choices=Decision.choices, blank=True, default="", db_default=""
    )
    waits_since = models.DateTimeField(null=True, help_text="when the cap first stopped it")
    delayed_until = models.DateTimeField(
        null=True, help_text="the end of the hour of which the payment side knows that it waits"
    )

    objects = AnsweredRunQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["answered_at"], name="answered_run_age"),
            models.Index(
                fields=["decision"], name="answered_run_decided", condition=~models.Q(decision="")
            ),
        ]

    def __str__(self) -> str:
        return f"reconciliation {self.run_id}"


class WaitingGrant(models.Model):
    """A grant that a run asked for. It is deleted once it is reported; its id is its turn."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(
        AnsweredRun, on_delete=models.CASCADE, related_name="waiting", db_index=False
    )
    subscription_id = models.UUIDField()
    requested_at = models.DateTimeField(db_default=Now())
    # Of the message that asked, so that the grant is a reply to it.
    causation_id = models.CharField(max_length=255)
    correlation_id = models.CharField(max_length=255)
    traceparent = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "subscription_id"], name="waiting_grant_once"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["run", "id"], name="waiting_grant_turn"),
            models.Index(fields=["subscription_id"], name="waiting_grant_subscription"),
        ]

    def __str__(self) -> str:
        return f"grant of {self.subscription_id} for {self.run_id}"


class HourOfGrants(models.Model):
    """How many grants were reported in an hour (UTC), without those of lifted runs."""

    hour = models.DateTimeField(primary_key=True)
    reported = models.PositiveIntegerField(default=0, db_default=0)

    def __str__(self) -> str:
        return f"{self.reported} grants in the hour from {self.hour:%Y-%m-%d %H:%M}Z"
