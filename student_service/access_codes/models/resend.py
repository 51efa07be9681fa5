"""The latest request of the payment side to mail a code again, and the address that it corrected.

A row of its own without a foreign key constraint, because it may come before the code is issued.
"""

from __future__ import annotations

from admit_one.sealing import cipher
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from .access_code import AccessCode

CORRECTED_PURPOSE = "corrected-address"


class Resend(models.Model):
    """Of the requests about one subscription, only the one with the highest version counts.

    Without an answer it waits for the code.
    """

    access_code = models.OneToOneField(
        AccessCode,
        primary_key=True,
        db_column="subscription_id",
        db_constraint=False,
        on_delete=models.DO_NOTHING,
        related_name="resend",
    )
    version = models.PositiveBigIntegerField(default=0, db_default=0)
    answered = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="the version of the latest answer"
    )
    answered_at = models.DateTimeField(
        default=timezone.now, db_default=Now(), help_text="of no meaning until it is answered"
    )
    refused = models.CharField(
        max_length=300, blank=True, default="", db_default="", help_text="why, if it was"
    )
    recipient = models.BinaryField(
        null=True, help_text="the address as the payment side corrected it, sealed"
    )
    corrected_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"request to mail the code of {self.access_code_id} again"

    @property
    def address(self) -> str | None:
        """The corrected address, if there is one. Raises `Unsealable` if its key is gone."""
        if self.recipient is None:
            return None
        return cipher.unseal(self.recipient, CORRECTED_PURPOSE, self.access_code_id).decode()

    @property
    def is_answered(self) -> bool:
        return self.answered >= self.version

    def correct(self, email: str) -> None:
        """Also for later mails: where the latest one went was wrong."""
        self.recipient = cipher.seal(email.encode(), CORRECTED_PURPOSE, self.access_code_id)
        self.corrected_at = Now()
