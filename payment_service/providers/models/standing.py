"""Until when a subscription is paid, and whether its latest invoice is: both only grow."""

from __future__ import annotations

from datetime import datetime

from django.db import models


class ProviderStanding(models.Model):
    """What its provider has said so far of one subscription, in whatever order that came.

    There is one for each subscription that a provider's event has recorded, and an erased one under
    the id of each open event that was erased: what comes later of the same sale finds that.
    """

    subscription_id = models.UUIDField(primary_key=True, editable=False)
    provider = models.CharField(max_length=32)
    paid_until = models.DateTimeField(null=True, help_text="the latest end of a paid period")
    paid_invoice_at = models.DateTimeField(
        null=True, help_text="when the latest invoice was made that is paid"
    )
    due_until = models.DateTimeField(
        null=True, help_text="the latest end of a period whose payment failed"
    )
    due_invoice_at = models.DateTimeField(
        null=True, help_text="when the latest invoice was made whose payment failed"
    )
    erased_at = models.DateTimeField(
        null=True, help_text="since when no body of an event about it is kept"
    )

    def __str__(self) -> str:
        return f"what {self.provider} reports of subscription {self.subscription_id}"

    @property
    def is_due(self) -> bool:
        """Whether the latest invoice is not paid.

        Ends of periods do not say so: one item of a subscription may be paid by the year and
        another by the month, and the invoice of a year that nobody paid may be void by now.
        """
        if self.due_invoice_at is None:
            return False
        return self.paid_invoice_at is None or self.paid_invoice_at < self.due_invoice_at


def later(one: datetime | None, other: datetime | None) -> datetime | None:
    """The later of two times; none is before all others."""
    return max((each for each in (one, other) if each is not None), default=None)
