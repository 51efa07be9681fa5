"""What clients may hear of by webhooks: the ids of codes, and what has become of them.

Codes belong to no client of this service, so every client hears of all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from uuid import UUID

from admit_one.webhooks import About, report
from django.db.models import Exists, OuterRef

from .models import AccessCode, Suspension
from .models.access_code import access_id


def report_one(event: str, row: AccessCode, **states: object) -> None:
    """Report `access.{event}` of this code, with these states. Runs in a transaction."""
    report(f"access.{event}", [_about(row, **states)])


def report_of(event: str, ids: Collection[UUID], *, unless_suspended_by: str = "") -> None:
    """The same of the codes of these subscriptions, which are read only if somebody listens.

    Nobody hears of what happens before there is a code. With `unless_suspended_by`, only of those
    that this maker does not suspend.
    """

    def happened() -> Iterator[About]:
        rows = AccessCode.objects.filter(pk__in=ids).order_by("pk")
        if unless_suspended_by:
            suspensions = Suspension.objects.filter(
                subscription_id=OuterRef("pk"), maker=unless_suspended_by
            )
            rows = rows.exclude(Exists(suspensions))
        for row in rows.only("generation", "test"):
            yield _about(row)

    if ids:
        report(f"access.{event}", happened())


def _about(row: AccessCode, **states: object) -> About:
    ids = {"access_id": access_id(row.pk, row.generation), "subscription_id": row.pk}
    return About({**ids, **states}, test=row.test, subject=row.pk)
