"""Codes, sealed; of each subscription the one that works, and hashes of those before it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from admit_one.contract import patterns
from admit_one.sealing import cipher
from django.db import models
from shared_contracts.events import Position

from .user import OfUser

CODE_PURPOSE = "access-code"

PAID = ("test", "language", "user_id", "plan", "amount", "currency", "occurred_at")
"""The fields of what was paid that the events and the rows share."""

ACCESS_ID_PATTERN = f"{patterns.UUID_TEXT.removesuffix('$')}\\.[1-9][0-9]{{0,8}}$"


def access_id(subscription_id: UUID, generation: int) -> str:
    """What names one code: its subscription and its generation."""
    return f"{subscription_id}.{generation}"


def parse_access_id(text: str) -> tuple[UUID, int]:
    """The subscription and the generation of an access id. Raises `ValueError`."""
    if not re.fullmatch(ACCESS_ID_PATTERN, text):
        raise ValueError("expected the id of a subscription, a dot and a number from 1")
    subscription_id, _, generation = text.partition(".")
    return UUID(subscription_id), int(generation)


class AccessCodeQuerySet(models.QuerySet["AccessCode"]):
    def kept(self) -> AccessCodeQuerySet:
        """Those that are not erased."""
        return self.filter(sealed_code__isnull=False)

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


class AccessCode(OfUser):
    """The code of a subscription. The primary key ensures that there is only one.

    A code that is replaced becomes a `ReplacedCode`, and its successor stands in this row.
    """

    subscription_id = models.UUIDField(primary_key=True)
    test = models.BooleanField(default=False, db_default=False, help_text="paid with a test key")
    language = models.CharField(  # noqa: DJ001 (null where nothing was given)
        max_length=35, null=True, help_text="of the mails, BCP 47; null for MAIL_LANGUAGE"
    )
    plan = models.CharField(max_length=64)
    # Null of a code that is erased; so is the code itself.
    lookup_hash = models.BinaryField(
        max_length=32, null=True, unique=True, help_text="keyed hash of the code"
    )
    lookup_hash_next = models.BinaryField(
        max_length=32, null=True, help_text="the same with CODE_LOOKUP_KEY_NEXT"
    )
    sealed_code = models.BinaryField(null=True, help_text="the code, sealed; null if it is erased")
    issued_at = models.DateTimeField()
    generation = models.PositiveIntegerField(
        default=1, db_default=1, help_text="1, and one more for each code that replaces another"
    )
    uses = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="redemptions of all generations"
    )
    suspension_version = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="of the last time that an operator changed it"
    )
    # Kept so that the payment side can restore lost subscriptions.
    amount = models.BigIntegerField(help_text="in minor units of the currency")
    currency = models.CharField(max_length=3, help_text="ISO 4217")
    occurred_at = models.DateTimeField(help_text="when it was paid")

    # Only of rows that `reconciliation.access_state.with_suspensions` reads:
    by_payment: bool
    by_operator: bool

    objects = AccessCodeQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["occurred_at", "subscription_id"], name="access_code_paid"),
            # What lists are narrowed to.
            models.Index(fields=["user_hash", "subscription_id"], name="access_code_user_hash"),
            models.Index(
                fields=["user_hash_next", "subscription_id"],
                name="access_code_user_hash_next",
                condition=models.Q(user_hash_next__isnull=False),
            ),
            models.Index(fields=["plan", "subscription_id"], name="access_code_plan"),
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
    def access_id(self) -> str:
        """The code's id, which shows nothing of the code."""
        return access_id(self.subscription_id, self.generation)

    @property
    def code(self) -> str:
        """The code in clear. Raises `Unsealable` if its key is gone, or if it is erased."""
        if self.sealed_code is None:
            raise cipher.Unsealable("it is erased")
        return cipher.unseal(self.sealed_code, CODE_PURPOSE, self.subscription_id).decode()

    @property
    def is_revoked(self) -> bool:
        """Takes one query, unless `revocation` was selected."""
        return hasattr(self, "revocation")

    @property
    def has_terms(self) -> bool:
        """Takes one query, unless `terms` was selected."""
        return hasattr(self, "terms")

    @property
    def has_resend(self) -> bool:
        """Takes one query, unless `resend` was selected."""
        return hasattr(self, "resend")


class ReplacedCode(models.Model):
    """A code that another one has replaced. Only its hashes are kept, so that it is recognised."""

    id = models.BigAutoField(primary_key=True)
    subscription_id = models.UUIDField()
    generation = models.PositiveIntegerField()
    lookup_hash = models.BinaryField(max_length=32, unique=True, help_text="keyed hash of the code")
    lookup_hash_next = models.BinaryField(max_length=32, null=True, unique=True)
    replaced_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["subscription_id", "generation"], name="replaced_code_once"
            ),
        ]

    def __str__(self) -> str:
        return f"code {access_id(self.subscription_id, self.generation)}"
