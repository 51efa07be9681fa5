"""When an order is complete: in the commit that gives its last pending seat a code or an end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from admit_one.logs import EventLogger
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from . import metrics, webhook_events
from .models import OF_ORDER_PENDING, Order, Subscription

logger = EventLogger(__name__)


def complete(orders: Iterable[UUID | None]) -> None:
    """Complete those of these orders that have no pending seat left. Nones are passed over.

    To be called in the transaction of the change, after the seats were written; costs no query if
    there are only nones.
    """
    touched = {order_id for order_id in orders if order_id is not None}
    if not touched:
        return
    # Of two transactions with the last two seats, neither sees the other's. The second waits for
    # the lock until the first has committed, and its next query sees both.
    still_open = Order.objects.locked_open(touched)
    pending = Subscription.objects.filter(OF_ORDER_PENDING, order=OuterRef("pk"))
    done = list(Order.objects.filter(~Exists(pending), id__in=still_open))
    if done:
        ids = [order.id for order in done]
        Order.objects.filter(id__in=ids).update(completed_at=timezone.now())
        webhook_events.report_completed(done)
        transaction.on_commit(lambda: _report(done))


def _report(done: Sequence[Order]) -> None:
    metrics.ORDERS_COMPLETED.inc(len(done))
    for order in done:
        logger.info(
            "order_completed",
            "{order} is complete: none of its {seats} subscriptions is pending",
            order=order,
            seats=order.seats,
        )
