"""What clients may hear of by webhooks: ids and states of what is theirs, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from admit_one.webhooks import About, report

from .models import Order, Subscription

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


class Seen(NamedTuple):
    """What a subscription was before a reconciliation changed it."""

    status: str
    has_code: bool

    @classmethod
    def of(cls, row: Subscription) -> Seen:
        return cls(row.status, row.access_code is not None)


def report_found(rows: Iterable[Subscription], before: Mapping[UUID, Seen]) -> None:
    """Report what a reconciliation has found out about each of these, if it is news."""
    for row in rows:
        if event := _news(before[row.pk], Seen.of(row)):
            report_all(event, [row])


def _news(before: Seen, now: Seen) -> str:
    """The event that clients would have heard of; empty if there is none."""
    if now.status == "cancelled" and before.status != "cancelled":
        return "cancelled"
    if now.status not in HAS_A_CODE:
        return ""  # of an end that has passed, `ending` reports
    if not before.has_code:
        return "active"  # also if it is past due, which was reported when it became so
    if now.status == before.status:
        return ""
    return "past_due" if now.status == "past_due" else "renewed"


def report_completed(orders: Sequence[Order]) -> None:
    report("order.completed", (_about_order(order) for order in orders))


def _about(row: Subscription) -> About:
    data = {"subscription_id": row.pk, "order_id": row.order_id, "status": row.status}
    return About(data, row.client, row.test, row.pk)


def _about_order(order: Order) -> About:
    data = {"order_id": order.pk, "seats": order.seats}
    return About(data, order.client, order.test, order.pk)
