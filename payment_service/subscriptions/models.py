"""Paid subscriptions, and how each waits for its access code."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar, Self
from uuid import UUID

from django.db import models
from django.utils import timezone
from shared_contracts.messaging import sealing
from uuid_utils.compat import uuid7

CODE_PURPOSE = "subscription-code"

ASK_AGAIN_AFTER = (timedelta(minutes=15), timedelta(hours=1), timedelta(hours=6), timedelta(days=1))
"""How long the answer to each ask may take before the next; the last one goes on for ever."""


def ask_delay(asked: int) -> timedelta:
    """How long to wait for the answer to ask number `asked`, counted from 1."""
    return ASK_AGAIN_AFTER[min(asked, len(ASK_AGAIN_AFTER)) - 1]


UNANSWERED = models.Q(access_code__isnull=True, cancelled_at__isnull=True) | models.Q(
    cancelled_at__isnull=False, code_revoked_at__isnull=True
)
"""Waits for the student side: for its code, or for the word that its code is revoked."""


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    def of(self, client: str) -> Self:
        """What this client's keys have created; the rest does not exist for it."""
        return self.filter(client=client)

    def waiting_too_long(self) -> Self:
        """Those that wait and whose time to ask again has come, the longest waiting first."""
        return self.filter(UNANSWERED, next_ask_at__lte=timezone.now()).order_by("next_ask_at")

    def paid_between(
        self, since: datetime, until: datetime, after: tuple[datetime, UUID] | None = None
    ) -> Self:
        """Those paid from `since` until before `until`, in the order of when and of their id.

        `after` is a place in that order: only what comes behind it.
        """
        paid = self.filter(created_at__gte=since, created_at__lt=until).order_by("created_at", "id")
        if after is None:
            return paid
        # The first condition is where an index can begin, the second is exact.
        return paid.filter(created_at__gte=after[0]).filter(
            models.Q(created_at__gt=after[0]) | models.Q(id__gt=after[1])
        )


class Subscription(models.Model):
    """One paid subscription of a user. A user may hold several.

    What it waits for is asked for again, at `next_ask_at`: first its code, and once it is
    cancelled, that its code is revoked.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    client = models.CharField(max_length=64, help_text="the API client that it belongs to")
    user_id = models.CharField(max_length=64)
    email = models.EmailField(max_length=254)
    plan = models.CharField(max_length=64)
    amount = models.BigIntegerField(help_text="in minor units of the currency")
    currency = models.CharField(max_length=3, help_text="ISO 4217")
    created_at = models.DateTimeField(default=timezone.now)

    access_code = models.BinaryField(null=True, help_text="sealed; none until it came")
    code_issued_at = models.DateTimeField(null=True)

    cancelled_at = models.DateTimeField(null=True, help_text="for good")
    code_revoked_at = models.DateTimeField(null=True, help_text="none until that was confirmed")

    mail_failed_at = models.DateTimeField(null=True, help_text="when a mail with it was given up")
    mail_failure = models.CharField(max_length=300, default="", db_default="", blank=True)

    first_event_id = models.CharField(max_length=36, help_text="the first ask, cause of the others")
    last_event_id = models.CharField(max_length=36)
    asked = models.PositiveIntegerField(default=0, help_text="how often for what it waits for")
    next_ask_at = models.DateTimeField()

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(amount__gte=0), name="subscription_amount"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["client", "-id"], name="subscription_of_client"),
            models.Index(fields=["created_at", "id"], name="subscription_paid"),
            models.Index(
                fields=["next_ask_at"], name="subscription_unanswered", condition=UNANSWERED
            ),
        ]

    def __str__(self) -> str:
        return f"subscription {self.id}"

    @property
    def status(self) -> str:
        if self.cancelled_at is not None:
            return "cancelled"
        return "pending" if self.access_code is None else "active"

    @property
    def code(self) -> str | None:
        """The access code in clear, also if it is revoked: for its owner only, never for a log.

        Raises `Unsealable`.
        """
        if self.access_code is None:
            return None
        return sealing.unseal(self.access_code, CODE_PURPOSE).decode()

    @property
    def code_if_it_opens(self) -> str | None:
        """The same, but empty if its key is gone: one such row must not stop what reads many."""
        try:
            return self.code
        except sealing.Unsealable:
            return ""


class ReconciliationRun(models.Model):
    """One comparison of both sides, page by page, and what it has found. It is kept.

    comparing → repairing → repaired · drift
    comparing → clean · drift · unanswered
    """

    class State(models.TextChoices):
        COMPARING = "comparing", "asks the student side, page by page"
        REPAIRING = "repairing", "waits for what it has asked for to mend the drift"
        CLEAN = "clean", "both sides agree"
        REPAIRED = "repaired", "both sides agree again"
        DRIFT = "drift", "both sides differ"
        UNANSWERED = "unanswered", "the student side did not answer"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    state = models.CharField(max_length=16, choices=State.choices, default=State.COMPARING)
    since = models.DateTimeField(help_text="what was paid from then")
    until = models.DateTimeField(help_text="until before then")
    repair = models.BooleanField(default=False)
    scheduled_for = models.DateField(null=True, unique=True, help_text="the day of a daily run")
    after_paid_at = models.DateTimeField(null=True, help_text="how far it has come")
    after_id = models.UUIDField(null=True)
    asked = models.PositiveIntegerField(default=0, help_text="how often for the page it is at")
    asked_at = models.DateTimeField(default=timezone.now)
    compared = models.PositiveBigIntegerField(default=0)
    started_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["started_at"],
                name="reconciliation_open",
                condition=models.Q(ended_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"reconciliation {self.id}"

    @property
    def after(self) -> tuple[datetime, UUID] | None:
        """The place up to which both sides were compared."""
        if self.after_paid_at is None or self.after_id is None:
            return None
        return self.after_paid_at, self.after_id


class Drift(models.Model):
    """One subscription on which both sides differ, and what became of it. No code is kept here."""

    class Kind(models.TextChoices):
        PAID_WITHOUT_CODE = "paid_without_code", "paid, and no code has come"
        CODE_LOST = "code_lost", "the student side has lost the code"
        CODE_WITHOUT_PAYMENT = "code_without_payment", "a code, and no payment is known"
        CODE_DIFFERS = "code_differs", "the student side has another code"
        CANCELLED_BUT_VALID = "cancelled_but_valid", "cancelled, and the code still lets in"
        CANCELLATION_LOST = "cancellation_lost", "a revoked code, and no cancellation is known"

    class State(models.TextChoices):
        FOUND = "found", "nothing was done about it"
        REPAIRING = "repairing", "what mends it was asked for"
        REPAIRED = "repaired", "both sides agree again"
        NEEDS_PERSON = "needs_person", "it cannot be mended by itself"
        HEALED = "healed", "it has mended itself"

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(ReconciliationRun, on_delete=models.CASCADE, related_name="drifts")
    subscription_id = models.UUIDField()
    kind = models.CharField(max_length=24, choices=Kind.choices)
    state = models.CharField(max_length=16, choices=State.choices)
    ours = models.CharField(max_length=32, blank=True, help_text="digest of the code here")
    theirs = models.CharField(max_length=32, blank=True, help_text="digest of the code there")
    note = models.CharField(max_length=200, blank=True, default="", db_default="")
    tries = models.PositiveIntegerField(default=0)
    tried_at = models.DateTimeField(null=True)
    found_at = models.DateTimeField(default=timezone.now)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "subscription_id"], name="drift_once"),
        ]
        indexes: ClassVar = [models.Index(fields=["run", "state"], name="drift_of_run")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subscription_id} ({self.state})"
