"""Clients hear once of each end of validity that has passed.

Nothing else changes then: `admission` reads off the terms whether a code has expired.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from . import admission, webhook_events
from .models import Terms

if TYPE_CHECKING:
    from .looking_up import Checked

BATCH = 200
"""Codes in one transaction."""

LATE = timedelta(days=7)
"""An end that nobody has reported for so long is not reported any more."""


@transaction.atomic
def report_ended() -> int:
    """Report a batch of the codes that have expired; returns how many codes it looked at.

    Concurrent workers take different codes, and wait for none that is in use.
    """
    rows = list(_ended()[:BATCH])
    Terms.objects.filter(pk__in=[row.pk for row in rows]).update(end_reported=True)
    expired = [row.pk for row in rows if not row.is_revoked]
    webhook_events.report_of("expired", expired)
    return len(rows)


def _ended() -> QuerySet[Checked]:
    """The codes whose end is not reported, of which the first has expired first; locked."""
    ended = admission.with_state().filter(
        terms__end_reported=False,
        terms__valid_until__lte=Now(),
        terms__valid_until__gt=Now() - LATE,
    )
    locked = ended.select_for_update(of=("self", "terms"), skip_locked=True, no_key=True)
    return locked.order_by("terms__valid_until")
