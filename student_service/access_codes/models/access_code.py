"""Codes, and their revocations. Codes rest sealed."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from admit_one.sealing import cipher
from django.db import models

CODE_PURPOSE = "access-code"

PAID = ("user_id", "plan", "amount", "currency", "occurred_at")
"""What was paid, by the names that the events and the columns share."""


class AccessCodeQuerySet(models.QuerySet["AccessCode"]):
    def paid_between(
        self, since: datetime, until: datetime, after: tuple[datetime, UUID] | None = None
    ) -> AccessCodeQuerySet:
        """Those paid from `since` until before `until`, ordered by that time and by subscription.

        `after` is a position in that order: only what follows it.
        """
        paid = self.filter(occurred_at__gte=since, occurred_at__lt=until)
        if after is not None:
            # The first condition is where an index can begin, the second is exact.
            paid = paid.filter(occurred_at__gte=after[0]).filter(
                models.Q(occurred_at__gt=after[0]) | models.Q(subscription_id__gt=after[1])
            )
        return paid.order_by("occurred_at", "subscription_id")


class AccessCode(models.Model):
    """The one code of a subscription: its primary key is what makes it one."""

    subscription_id = models.UUIDField(primary_key=True)
    user_id = models.CharField(max_length=64)
    plan = models.CharField(max_length=64)
    lookup_hash = models.BinaryField(max_length=32, unique=True, help_text="finds a typed code")
    lookup_hash_next = models.BinaryField(
        max_length=32, null=True, help_text="the same under the key that is to take over"
    )
    sealed_code = models.BinaryField(help_text="the code, to be mailed and reported again")
    issued_at = models.DateTimeField()
    # The payment side gets what was paid back from here if its database was lost.
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
        return cipher.unseal(self.sealed_code, CODE_PURPOSE).decode()

    @property
    def is_revoked(self) -> bool:
        """Whether it no longer lets anybody in. One query, unless `revocation` was selected."""
        return hasattr(self, "revocation")


class Revocation(models.Model):
    """A subscription was cancelled, and its code lets nobody in.

    It is a row of its own, which may precede the code's: the order of the two events does not
    matter.
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
