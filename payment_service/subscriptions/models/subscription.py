"""Paid subscriptions, and what each is waiting for from the student side."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Self, TypeAlias

from admit_one.contract.versions import next_version
from admit_one.database.clock import WrittenNow
from admit_one.messaging import Envelope
from admit_one.sealing import cipher
from django.db import models
from django.utils import timezone
from shared_contracts.events import (
    AccessTermsChanged,
    SubscriptionCancelled,
    UserSubscribed,
)
from uuid_utils.compat import uuid7

from .delays import request_delay
from .finding import ENDING, OVERDUE, UNANSWERED, SubscriptionQuerySet
from .listing import LISTED
from .order import Order
from .paid import TermsOf, paid_of
from .resend import Resendable

CODE_PURPOSE = "subscription-code"

Request: TypeAlias = UserSubscribed | AccessTermsChanged | SubscriptionCancelled
"""What a subscription requests from the student side, until it is answered."""


class Subscription(Resendable):
    """One paid subscription of a user, who may have several.

    It requests its code until the code arrives; once cancelled, it requests the revocation until
    that is confirmed.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    client = models.CharField(max_length=64, help_text="the API client that owns it")
    test = models.BooleanField(
        default=False, db_default=False, help_text="recorded with a test key of its client"
    )
    user_id = models.CharField(max_length=64)
    email = models.EmailField(max_length=254)
    plan = models.CharField(max_length=64)
    amount = models.BigIntegerField(help_text="in minor units of the currency")
    currency = models.CharField(max_length=3, help_text="ISO 4217")
    language = models.CharField(  # noqa: DJ001 (null where the client says nothing)
        max_length=35, null=True, help_text="of the user's mails, BCP 47; null for the default"
    )
    order = models.ForeignKey(
        Order, null=True, on_delete=models.PROTECT, related_name="subscriptions", db_index=False
    )
    reference = models.CharField(  # noqa: DJ001 (none is not empty, and its index has no row)
        max_length=128, null=True, help_text="the client's own name of it; null if it has none"
    )
    metadata = models.JSONField(null=True, help_text="the client's own notes; null without any")
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(
        db_default=WrittenNow(), editable=False, help_text="of the last change, kept by a trigger"
    )

    access_code = models.BinaryField(null=True, help_text="sealed; null until it arrives")
    code_issued_at = models.DateTimeField(null=True)
    code_generation = models.PositiveIntegerField(
        default=1, db_default=1, help_text="of several codes, the one with the highest works"
    )

    valid_from = models.DateTimeField(null=True, help_text="when the code begins to work")
    valid_until = models.DateTimeField(null=True, help_text="when it stops to, exclusive")
    end_reported = models.BooleanField(
        default=False, db_default=False, help_text="whether it was reported that it has expired"
    )
    uses = models.PositiveIntegerField(null=True, help_text="how often it works; null: any number")
    terms_version = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="raised with each change of the above or of suspended_at"
    )
    terms_applied = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="the version that the student side has confirmed"
    )
    past_due_at = models.DateTimeField(null=True, help_text="null unless a payment is due")
    suspended_at = models.DateTimeField(
        null=True, help_text="when it had been past due for too long; null unless suspended"
    )

    uses_made = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="as the student side reports it"
    )
    redeemed_at = models.DateTimeField(null=True, help_text="the latest use; null if there is none")
    suspension_version = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="of the student side's own suspension"
    )
    suspended_by_operator = models.BooleanField(
        default=False, db_default=False, help_text="whether the student side suspends the code"
    )

    cancelled_at = models.DateTimeField(null=True, help_text="null unless cancelled")
    refunded_at = models.DateTimeField(null=True, help_text="null unless refunded")
    reason = models.CharField(
        max_length=300, default="", db_default="", blank=True, help_text="of the latest change"
    )
    erased_at = models.DateTimeField(
        null=True, help_text="when its person was erased; null unless so"
    )
    code_revoked_at = models.DateTimeField(
        null=True, help_text="null until the student side confirms it"
    )

    emailed_at = models.DateTimeField(
        null=True, help_text="when the mail server last accepted a mail with the code"
    )
    expiring_until = models.DateTimeField(
        null=True, help_text="the latest valid_until of which the user was warned"
    )
    expiring_soon_at = models.DateTimeField(null=True, help_text="when the user was warned")
    failed_at = models.DateTimeField(
        null=True, help_text="when the student side could not issue the code"
    )
    failure = models.CharField(max_length=300, default="", db_default="", blank=True)
    mail_failed_at = models.DateTimeField(
        null=True, help_text="when the mail with the code was given up"
    )
    mail_failure = models.CharField(max_length=300, default="", db_default="", blank=True)

    first_request_id = models.CharField(
        max_length=36,
        help_text="event id of the first request, which is the cause of the others",
    )
    last_request_id = models.CharField(max_length=36)
    requests = models.PositiveIntegerField(
        default=0, help_text="requests for what it is waiting for"
    )
    next_request_at = models.DateTimeField()

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(amount__gte=0), name="subscription_amount"),
        ]
        indexes: ClassVar = [
            *LISTED,
            models.Index(fields=["created_at", "id"], name="subscription_paid"),
            models.Index(
                fields=["next_request_at"], name="subscription_waits", condition=UNANSWERED
            ),
            models.Index(fields=["past_due_at"], name="subscription_overdue", condition=OVERDUE),
            models.Index(fields=["valid_until"], name="subscription_ending", condition=ENDING),
            models.Index(
                fields=["resend_next_at"],
                name="subscription_resend",
                condition=models.Q(resend_next_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"subscription {self.id}"

    @classmethod
    def paid(cls, **columns: Any) -> tuple[Self, Envelope[Request]]:
        """A new row, not saved yet, and its first request, to be published in its transaction."""
        row = cls(**columns)
        if row.has_terms:
            row.terms_changed(row.created_at)
        return row, row.next_request(row.created_at)

    @property
    def status(self) -> str:
        """One word for people; what is for good comes first."""
        if self.refunded_at is not None:
            return "refunded"
        if self.cancelled_at is not None:
            return "cancelled"
        if self.valid_until is not None and self.valid_until <= timezone.now():
            return "expired"
        if self.access_code is None:
            return "pending"
        return "active" if self.past_due_at is None else "past_due"

    @property
    def is_expiring_soon(self) -> bool:
        """Whether the user was warned that it expires, and it was not renewed since."""
        return self.expiring_until is not None and self.expiring_until == self.valid_until

    @property
    def code(self) -> str | None:
        """The access code in clear, revoked or not; never log it. Raises `Unsealable`."""
        if self.access_code is None:
            return None
        return cipher.unseal(self.access_code, CODE_PURPOSE, self.id).decode()

    @property
    def code_or_unreadable(self) -> str | None:
        """The same, but empty if its key is gone, so that one such row does not stop a batch."""
        try:
            return self.code
        except cipher.Unsealable:
            return ""

    @property
    def has_terms(self) -> bool:
        return any(getattr(self, name) is not None for name in TermsOf.__annotations__)

    def cancel(self, now: datetime) -> None:
        self.cancelled_at, self.requests = now, 0
        self.resend_next_at = None  # what is revoked is not mailed

    def terms_changed(self, now: datetime) -> None:
        """To be called with each change of the terms, before `next_request`."""
        self.terms_version, self.requests = next_version(self.terms_version, now), 0

    def next_request(self, now: datetime) -> Envelope[Request]:
        """Count one more request for what it is waiting for; returns the event to publish."""
        # The first request has no cause; nor has that of a recovered subscription.
        request = Envelope.of(self._event(), cause=self.first_request_id or None)
        self.first_request_id = self.first_request_id or request.id
        self.last_request_id = request.id
        self.requests += 1
        self.next_request_at = now + request_delay(self.requests)
        return request

    def _event(self) -> Request:
        if self.cancelled_at is not None:
            return SubscriptionCancelled(subscription_id=self.id, cancelled_at=self.cancelled_at)
        if self.access_code is not None:
            return AccessTermsChanged(subscription_id=self.id, **self.terms())
        return UserSubscribed(
            subscription_id=self.id,
            occurred_at=self.created_at,
            **paid_of(self),
            test=self.test,
            language=self.language,
            **(self.terms() if self.terms_version else {}),
        )

    def terms(self) -> dict[str, Any]:
        """The fields of `events.Terms`."""
        return {
            "version": self.terms_version,
            "valid_from": self.valid_from,
            "valid_until": self.valid_until,
            "uses": self.uses,
            "suspended": self.suspended_at is not None,
        }
