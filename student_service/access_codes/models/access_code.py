"""Codes, sealed, and their revocations."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from admit_one.sealing import cipher
from django.db import models
from shared_contracts.events import Position

CODE_PURPOSE = "access-code"

PAID = ("user_id", "plan", "amount", "currency", "occurred_at")
"""The fields of what was paid that the events and the columns share."""


class AccessCodeQuerySet(models.QuerySet["AccessCode"]):
    def paid_between(
        self, since: datetime, until: datetime, after: Position | None = None
    ) -> AccessCodeQuerySet:
        """Those paid from `since` until before `until`, ordered by payment time and subscription.

        With `after`, only those that follow it in that order.
        """
        paid = self.filter(occurred_at__gte=since, occurred_at__lt=until)
        if after is not None:
            # The first condition lets the database use an index; the second is exact.
            paid = paid.filter(occurred_at__gte=after.occurred_at).filter(
                models.Q(occurred_at__gt=after.occurred_at)
                | models.Q(subscription_id__gt=after.subscription_id)
            )
        return paid.order_by("occurred_at", "subscription_id")


class AccessCode(models.Model):
    """The code of a subscription. The primary key ensures that there is only one."""

    subscription_id = models.UUIDField(primary_key=True)
    user_id = models.CharField(max_length=64)
    plan = models.CharField(max_length=64)
    lookup_hash = models.BinaryField(max_length=32, unique=True, help_text="keyed hash of the code")
    lookup_hash_next = models.BinaryField(
        max_length=32, null=True, help_text="the same with CODE_LOOKUP_KEY_NEXT"
    )
    sealed_code = models.BinaryField(help_text="the code, sealed")
    issued_at = models.DateTimeField()
    # Kept so that the payment side can restore lost subscriptions.
    amount = models.BigIntegerField(help_text="in minor units of the currency")
    currency = models.CharField(max_length=3, help_text="ISO 4217")
    occurred_at = models.DateTimeField(help_text="when it was paid")

    objects = AccessCodeQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["occurred_at", "subscription_id"], name="access_code_paid"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["lookup_hash_next"],
                name="access_code_lookup_next",
                condition=models.Q(lookup_hash_next__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"code of {self.subscription_id}"

    @property
    def code(self) -> str:
        """The code in clear. Raises `Unsealable` if its key is gone."""
        return cipher.unseal(self.sealed_code, CODE_PURPOSE, self.subscription_id).decode()

    @property
    def is_revoked(self) -> bool:
        """Takes one query, unless `revocation` was selected."""
        return hasattr(self, "revocation")


class Revocation(models.Model):
    """The code of a cancelled subscription no longer works.

    A separate row without a foreign key constraint, because the cancellation may be handled before
    the code is issued.
    """

    access_code = models.OneToOneField(
        AccessCode,
        primary_key=True,
        db_column="subscription_id",
        db_constraint=False,
        on_delete=models.DO_NOTHING,
        related_name="revocation",
    )
    cancelled_at = models.DateTimeField(help_text="as the payment side reports it")
    revoked_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"revocation of {self.access_code_id}"
