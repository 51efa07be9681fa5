"""Codes, and their revocations. Codes rest sealed."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from admit_one.sealing import cipher
from django.db import models
from django.db.models.functions import Coalesce

CODE_PURPOSE = "access-code"

PAID_AT = Coalesce("occurred_at", "issued_at")
"""When it was paid; codes of the first release know only when they were issued."""


class AccessCodeQuerySet(models.QuerySet["AccessCode"]):
    def paid_between(
        self, since: datetime, until: datetime, after: tuple[datetime, UUID] | None = None
    ) -> AccessCodeQuerySet:
        """Those paid from `since` until before `until`, in the order of when and of subscription.

        `after` is a place in that order: only what comes behind it.
        """
        paid = self.annotate(paid_at=PAID_AT).filter(paid_at__gte=since, paid_at__lt=until)
        if after is not None:
            # The first condition is where an index can begin, the second is exact.
            paid = paid.filter(paid_at__gte=after[0]).filter(
                models.Q(paid_at__gt=after[0]) | models.Q(subscription_id__gt=after[1])
            )
        return paid.order_by("paid_at", "subscription_id")


class AccessCode(models.Model):
    """The one code of a subscription: its primary key is what makes it one."""

    subscription_id = models.UUIDField(primary_key=True)
    user_id = models.CharField(max_length=64)
    plan = models.CharField(max_length=64)
    lookup_hash = models.BinaryField(max_length=32, unique=True, help_text="finds a typed code")
    lookup_hash_next = models.BinaryField(
        max_length=32, null=True, help_text="finds it under the key that is to take over"
    )
    sealed_code = models.BinaryField(help_text="the code, to be sent and told again")
    issued_at = models.DateTimeField()
    # What was paid: the payment side has it back from here if its database was lost.
    amount = models.BigIntegerField(null=True, help_text="in minor units of the currency")
    currency = models.CharField(max_length=3, null=True, help_text="ISO 4217")  # noqa: DJ001
    occurred_at = models.DateTimeField(null=True, help_text="when it was paid")

    objects = AccessCodeQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(PAID_AT, "subscription_id", name="access_code_paid"),
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
        """Whether it lets nobody in any more. One query, unless `revocation` was selected."""
        return hasattr(self, "revocation")


class Revocation(models.Model):
    """A subscription was cancelled, and its code lets nobody in.

    It is a row of its own, which may be there before the code is: in whichever order the two
    events come, the outcome is the same.
    """

    access_code = models.OneToOneField(
        AccessCode,
        primary_key=True,
        db_column="subscription_id",
        db_constraint=False,
        on_delete=models.DO_NOTHING,
        related_name="revocation",
    )
    cancelled_at = models.DateTimeField(help_text="as the payment side says")
    revoked_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"revocation of {self.access_code_id}"
