"""Comparisons of both sides, and where they differed."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone
from shared_contracts.events import Position
from uuid_utils.compat import uuid7


class ReconciliationRun(models.Model):
    """One comparison of both sides, page by page.

    comparing → repairing → repaired · drift
    comparing → clean · drift · unanswered
    """

    class State(models.TextChoices):
        COMPARING = "comparing", "comparing both sides"
        REPAIRING = "repairing", "waiting for repairs"
        CLEAN = "clean", "both sides agree"
        REPAIRED = "repaired", "both sides agree again"
        DRIFT = "drift", "both sides differ"
        UNANSWERED = "unanswered", "the student side did not answer"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    state = models.CharField(max_length=16, choices=State.choices, default=State.COMPARING)
    since = models.DateTimeField(help_text="start of the window")
    until = models.DateTimeField(help_text="end of the window, exclusive")
    repair = models.BooleanField(default=False)
    scheduled_for = models.DateField(null=True, unique=True, help_text="the day of a daily run")
    by_entry = models.BooleanField(
        default=False, db_default=False, help_text="a checksum was not answered; pages are in full"
    )
    after_paid_at = models.DateTimeField(null=True, help_text="where the next page starts")
    after_id = models.UUIDField(null=True)
    requests = models.PositiveIntegerField(
        default=0, help_text="how often the current page was requested"
    )
    # Of a page that is not requested yet: when it is due.
    requested_at = models.DateTimeField(default=timezone.now)
    compared = models.PositiveBigIntegerField(default=0)
    grants_wait_until = models.DateTimeField(
        null=True, help_text="when the student side reports more grants, at the earliest"
    )
    started_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["started_at"],
                name="reconciliation_open",
                condition=models.Q(ended_at__isnull=True),
            ),
            models.Index(fields=["started_at"], name="reconciliation_started"),
        ]

    def __str__(self) -> str:
        return f"reconciliation {self.id}"

    @property
    def after(self) -> Position | None:
        """The position up to which both sides were compared."""
        if self.after_paid_at is None or self.after_id is None:
            return None
        return Position(occurred_at=self.after_paid_at, subscription_id=self.after_id)


class Drift(models.Model):
    """A subscription on which both sides differ, with digests instead of codes."""

    class Kind(models.TextChoices):
        PAID_WITHOUT_CODE = "paid_without_code", "paid, but no code has arrived"
        CODE_LOST = "code_lost", "the student side has lost the code"
        CODE_WITHOUT_PAYMENT = "code_without_payment", "a code, but no known payment"
        CODE_DIFFERS = "code_differs", "the student side has another code"
        CANCELLED_BUT_VALID = "cancelled_but_valid", "cancelled, but the code still works"
        CANCELLATION_LOST = "cancellation_lost", "a revoked code, but no known cancellation"
        REVOCATION_LOST = "revocation_lost", "revoked by an operator, but the code works again"
        REPLACEMENT_LOST = "replacement_lost", "the student side has lost a replacement"
        TERMS_LOST = "terms_lost", "the student side has earlier terms"
        TERMS_DIFFER = "terms_differ", "the student side has later terms"
        ERASED_HERE = "erased_here", "erased here, but not on the student side"
        ERASED_THERE = "erased_there", "erased on the student side, but not here"

    class State(models.TextChoices):
        OPEN = "open", "no repair was requested"
        REPAIRING = "repairing", "its repair was requested"
        REPAIRED = "repaired", "both sides agree again"
        NEEDS_PERSON = "needs_person", "it cannot be repaired automatically"
        HEALED = "healed", "both sides agree again without a repair"

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(ReconciliationRun, on_delete=models.CASCADE, related_name="drifts")
    subscription_id = models.UUIDField()
    kind = models.CharField(max_length=24, choices=Kind.choices)
    state = models.CharField(max_length=16, choices=State.choices)
    ours = models.CharField(max_length=32, blank=True, help_text="digest of our code")
    theirs = models.CharField(max_length=32, blank=True, help_text="digest of their code")
    note = models.CharField(max_length=200, blank=True, default="", db_default="")
    tries = models.PositiveIntegerField(default=0)
    tried_at = models.DateTimeField(null=True)
    found_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True, help_text="null while both sides differ")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "subscription_id"], name="drift_once"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["run", "state"], name="drift_of_run"),
            models.Index(fields=["run", "id"], name="drift_of_run_listed"),
            models.Index(fields=["subscription_id"], name="drift_of_subscription"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subscription_id} ({self.state})"
