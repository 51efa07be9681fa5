"""Paid subscriptions, and how each waits for the student side."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar, Self
from uuid import UUID

from admit_one.contract import Envelope
from admit_one.sealing import cipher
from django.db import models
from django.utils import timezone
from shared_contracts.events import SubscriptionCancelled, UserSubscribed
from uuid_utils.compat import uuid7

from .paid import paid_of

CODE_PURPOSE = "subscription-code"

REQUEST_AGAIN_AFTER = (
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(days=1),
)
"""How long the answer to each request may take before the next; the last one holds for ever."""


def request_delay(requests: int) -> timedelta:
    """How long to wait for the answer to request number `requests`, counted from 1."""
    return REQUEST_AGAIN_AFTER[min(requests, len(REQUEST_AGAIN_AFTER)) - 1]


UNANSWERED = models.Q(access_code__isnull=True, cancelled_at__isnull=True) | models.Q(
    cancelled_at__isnull=False, code_revoked_at__isnull=True
)
"""Waits for the student side: for its code, or for the confirmation that its code is revoked."""


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    def of(self, client: str) -> Self:
        """What this client's keys have created; the rest does not exist for it."""
        return self.filter(client=client)

    def waiting_too_long(self) -> Self:
        """Those whose time for another request has come, the longest waiting first."""
        due = self.filter(UNANSWERED, next_request_at__lte=timezone.now())
        return due.order_by("next_request_at")

    def paid_between(
        self, since: datetime, until: datetime, after: tuple[datetime, UUID] | None = None
    ) -> Self:
        """Those paid from `since` until before `until`, ordered by that time and by id.

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

    What it waits for is requested until it comes: first its code and, once it is cancelled, the
    confirmation that its code is revoked.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    client = models.CharField(max_length=64, help_text="the API client that it belongs to")
    user_id = models.CharField(max_length=64)
    email = models.EmailField(max_length=254)
    plan = models.CharField(max_length=64)
    amount = models.BigIntegerField(help_text="in minor units of the currency")
    currency = models.CharField(max_length=3, help_text="ISO 4217")
    created_at = models.DateTimeField(default=timezone.now)

    access_code = models.BinaryField(null=True, help_text="sealed; null until it came")
    code_issued_at = models.DateTimeField(null=True)

    cancelled_at = models.DateTimeField(null=True, help_text="for good")
    code_revoked_at = models.DateTimeField(null=True, help_text="null until that was confirmed")

    mail_failed_at = models.DateTimeField(null=True, help_text="when a mail with it was given up")
    mail_failure = models.CharField(max_length=300, default="", db_default="", blank=True)

    first_request_id = models.CharField(
        max_length=36, help_text="event id of the first request, cause of the others"
    )
    last_request_id = models.CharField(max_length=36)
    requests = models.PositiveIntegerField(
        default=0, help_text="how often what it waits for was requested"
    )
    next_request_at = models.DateTimeField()

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(amount__gte=0), name="subscription_amount"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["client", "-id"], name="subscription_of_client"),
            models.Index(fields=["created_at", "id"], name="subscription_paid"),
            models.Index(
                fields=["next_request_at"], name="subscription_unanswered", condition=UNANSWERED
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
        return cipher.unseal(self.access_code, CODE_PURPOSE).decode()

    @property
    def code_if_it_opens(self) -> str | None:
        """The same, but empty if its key is gone: one such row must not stop what reads many."""
        try:
            return self.code
        except cipher.Unsealable:
            return ""

    def cancel(self, now: datetime) -> None:
        """From now on it waits for the confirmation that its code is revoked."""
        self.cancelled_at, self.requests = now, 0

    def next_request(self, now: datetime) -> Envelope[UserSubscribed | SubscriptionCancelled]:
        """Count one more request for what it waits for, and return the event to publish."""
        # The first one has no cause; that of a recovered subscription was lost with its row.
        request = Envelope.of(self._event(), cause=self.first_request_id or None)
        self.first_request_id = self.first_request_id or request.id
        self.last_request_id = request.id
        self.requests += 1
        self.next_request_at = now + request_delay(self.requests)
        return request

    def _event(self) -> UserSubscribed | SubscriptionCancelled:
        """What the student side answers with what it waits for."""
        if self.cancelled_at is not None:
            return SubscriptionCancelled(subscription_id=self.id, cancelled_at=self.cancelled_at)
        return UserSubscribed(subscription_id=self.id, occurred_at=self.created_at, **paid_of(self))
