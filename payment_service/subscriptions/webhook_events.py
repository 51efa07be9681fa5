"""What clients may hear of by webhooks: ids and states of what is theirs, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from uuid import UUID

from admit_one.webhooks import About, report

from .models import Order, Subscription

REACHED = {"active", "past_due", "cancelled"}
"""Statuses of which a reconciliation reports that a subscription has them again."""


HAS_A_CODE = {"active", "past_due"}
"""Statuses of those that have one and have not ended."""


def report_all(event: str, rows: Iterable[Subscription]) -> None:
    """Report `subscription.{event}` of these rows, as they are now. Runs in a transaction."""
    report(f"subscription.{event}", (_about(row) for row in rows))


def report_of(event: str, ids: Collection[UUID], *, with_status: Collection[str] = ()) -> None:
    """The same of the rows with these ids, which are read only if somebody listens.

    With `with_status`, only of those that have one of these now.
    """

    def happened() -> Iterator[About]:
        for row in Subscription.objects.filter(pk__in=ids).order_by("pk"):
            if not with_status or row.status in with_status:
                yield _about(row)

    if ids:
        report(f"subscription.{event}", happened())


def report_reached(rows: Iterable[Subscription]) -> None:
    """Report the new status of each of these, if there is an event of that name."""
    for row in rows:
        if row.status in REACHED:
            report_all(row.status, [row])


def report_completed(orders: Sequence[Order]) -> None:
    report("order.completed", (_about_order(order) for order in orders))


def _about(row: Subscription) -> About:
    data = {"subscription_id": row.pk, "order_id": row.order_id, "status": row.status}
    return About(data, row.client, row.test, row.pk)


def _about_order(order: Order) -> About:
    data = {"order_id": order.pk, "seats": order.seats}
    return About(data, order.client, order.test, order.pk)
