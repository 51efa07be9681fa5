"""Finds subscriptions by what they are waiting for, by their client, and by when they were paid."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self
from uuid import UUID

from django.db import connection, models
from django.utils import timezone
from shared_contracts.events import Position

if TYPE_CHECKING:
    from .subscription import Subscription

UNANSWERED = (
    models.Q(access_code__isnull=True, cancelled_at__isnull=True)
    | models.Q(cancelled_at__isnull=False, code_revoked_at__isnull=True)
    | models.Q(cancelled_at__isnull=True, terms_applied__lt=models.F("terms_version"))
)
"""Waiting for the student side: for the code, or for the confirmation that it is revoked, or that
it works by the latest terms."""


OVERDUE = models.Q(past_due_at__isnull=False, suspended_at__isnull=True, cancelled_at__isnull=True)
"""Past due, and not suspended yet."""


ENDING = models.Q(valid_until__isnull=False, end_reported=False, cancelled_at__isnull=True)
"""With an end that nobody has reported yet."""


# Clients poll: the ORM takes longer to build this query than the database to run it.
OWNED = "SELECT * FROM subscriptions_subscription WHERE id = %s AND client = %s"


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    def of(self, client: str) -> Self:
        """The subscriptions that this client owns; it sees no others."""
        return self.filter(client=client)

    def owned(self, client: str, subscription_id: UUID) -> Subscription | None:
        """The client's subscription with this id, if there is one."""
        row_id = self.model._meta.pk.get_db_prep_value(subscription_id, connection)  # noqa: SLF001
        return next(iter(self.raw(OWNED, [row_id, client])), None)

    def waiting_too_long(self) -> Self:
        """Those whose next request is due, longest waiting first."""
        due = self.filter(UNANSWERED, next_request_at__lte=timezone.now())
        return due.order_by("next_request_at")

    def resend_too_long(self) -> Self:
        """Those whose request to mail the code again is due again, longest waiting first."""
        return self.filter(resend_next_at__lte=timezone.now()).order_by("resend_next_at")

    def overdue(self, since: datetime) -> Self:
        """Those that are past due since then or longer, and not suspended yet."""
        return self.filter(OVERDUE, past_due_at__lte=since).order_by("past_due_at")

    def ended(self, since: datetime, until: datetime) -> Self:
        """Those that have expired in this time, of which that is not reported, the first first."""
        ended = self.filter(ENDING, valid_until__gt=since, valid_until__lte=until)
        return ended.order_by("valid_until")

    def paid_between(
        self,
        since: datetime,
        until: datetime,
        after: Position | None = None,
        last: Position | None = None,
    ) -> Self:
        """Those paid from `since` until before `until`, ordered by payment time and id.

        With `after`, only those that follow it in that order; with `last`, none that follow it.
        """
        paid = self.filter(created_at__gte=since, created_at__lt=until).order_by("created_at", "id")
        # Of two conditions, the first lets the database use an index, and the second is exact.
        if after is not None:
            paid = paid.filter(created_at__gte=after.occurred_at).filter(
                models.Q(created_at__gt=after.occurred_at) | models.Q(id__gt=after.subscription_id)
            )
        if last is not None:
            paid = paid.filter(created_at__lte=last.occurred_at).filter(
                models.Q(created_at__lt=last.occurred_at) | models.Q(id__lte=last.subscription_id)
            )
        return paid
