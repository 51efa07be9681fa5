"""What decides whether a code lets in: revocations, terms, suspensions and redemptions.

Rows of their own without a foreign key constraint, because each may be handled before the code is
issued. A revocation is for good; what can be undone has a version, and the highest one counts.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from uuid_utils.compat import uuid7

from .access_code import AccessCode


class Revocation(models.Model):
    """The code of this subscription no longer works, whichever it is or will be."""

    access_code = models.OneToOneField(
        AccessCode,
        primary_key=True,
        db_column="subscription_id",
        db_constraint=False,
        on_delete=models.DO_NOTHING,
        related_name="revocation",
    )
    cancelled_at = models.DateTimeField(
        null=True, help_text="as the payment side reports it; null if an operator revoked it here"
    )
    revoked_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"revocation of {self.access_code_id}"


class Terms(models.Model):
    """From when until when a code works, and how often. The payment side decides it."""

    access_code = models.OneToOneField(
        AccessCode,
        primary_key=True,
        db_column="subscription_id",
        db_constraint=False,
        on_delete=models.DO_NOTHING,
        related_name="terms",
    )
    version = models.PositiveBigIntegerField()
    valid_from = models.DateTimeField(null=True)
    valid_until = models.DateTimeField(null=True, help_text="exclusive")
    uses = models.PositiveIntegerField(null=True, help_text="null: any number")
    ends_since = models.DateTimeField(
        null=True, help_text="since when valid_until is known here; null: since long ago"
    )
    expiry_noted = models.BooleanField(
        default=False,
        db_default=False,
        help_text="whether its user was warned that it expires soon, or need not be",
    )
    end_reported = models.BooleanField(
        default=False, db_default=False, help_text="whether it was reported that it has expired"
    )

    class Meta:
        # For lists of codes by what their terms have done to them.
        indexes: ClassVar = [
            models.Index(
                fields=["valid_until"],
                name="terms_expiring",
                condition=models.Q(valid_until__isnull=False, expiry_noted=False),
            ),
            models.Index(
                fields=["valid_until"],
                name="terms_ending",
                condition=models.Q(valid_until__isnull=False, end_reported=False),
            ),
            *(
                models.Index(
                    fields=["access_code"],
                    name=f"terms_{name}",
                    condition=models.Q((f"{name}__isnull", False)),
                )
                for name in ("valid_from", "valid_until", "uses")
            ),
        ]

    def __str__(self) -> str:
        return f"terms of {self.access_code_id}, version {self.version}"


class Suspension(models.Model):
    """The code does not work until its maker deletes this row. Each maker has its own."""

    class Maker(models.TextChoices):
        PAYMENT = "payment", "the payment side"
        OPERATOR = "operator", "an operator"

    id = models.BigAutoField(primary_key=True)
    subscription_id = models.UUIDField()
    maker = models.CharField(max_length=16, choices=Maker.choices)
    since = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["subscription_id", "maker"], name="suspension_once"),
        ]

    def __str__(self) -> str:
        return f"suspension of {self.subscription_id} by {self.maker}"


class Redemption(models.Model):
    """One use of a code. Of those with the same reference, only one counts."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    access_code = models.ForeignKey(
        AccessCode,
        db_column="subscription_id",
        db_index=False,
        on_delete=models.PROTECT,
        related_name="redemptions",
    )
    generation = models.PositiveIntegerField(help_text="of the code that was redeemed")
    client = models.CharField(max_length=64, help_text="the API client that redeemed it")
    # Null, not empty: a redemption without a reference is always a use of its own.
    reference = models.CharField(  # noqa: DJ001
        max_length=255, null=True, help_text="the client's own name of it"
    )
    redeemed_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["access_code", "client", "reference"], name="redemption_once"
            ),
        ]

    def __str__(self) -> str:
        return f"redemption {self.id}"
