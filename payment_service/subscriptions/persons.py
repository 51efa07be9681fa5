"""One person's data: which subscriptions are theirs, and how they are erased.

What the books need stays: amount, currency, plan, times and ids.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from admit_one.database.distinct import each_value
from admit_one.erasure.definition import Person
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from shared_contracts.events import SubscriptionErased, SubscriptionErasureRequested

from . import webhook_events
from .completion import complete
from .models import Drift, MetadataEntry, Order, Subscription

USER_ID, EMAIL = "erased", "erased@erased.invalid"
"""What stands in place of a person. No mail ever goes to `.invalid` (RFC 6761)."""


def find(person: Person) -> set[str]:
    """The given subscriptions, and those of these users and addresses, as they are spelled."""
    # By client, as the indexes have it, and one after the other.
    theirs = Q(user_id__in=person.user_ids), Q(email__in=person.emails)
    clients = each_value(Subscription, "client")
    rows = (Subscription.objects.of(c).filter(each) for c in clients for each in theirs)
    theirs_too = {str(pk) for each in rows for pk in each.values_list("pk", flat=True)}
    return theirs_too | set(person.subjects)


def active(subjects: Collection[str]) -> set[str]:
    """Those that are neither cancelled nor expired."""
    rows = Subscription.objects.filter(id__in=subjects, cancelled_at__isnull=True)
    return {str(row.id) for row in rows if row.status != "expired"}


def request(subject: str, erasure_id: UUID) -> SubscriptionErasureRequested:
    return SubscriptionErasureRequested(subscription_id=UUID(subject), erasure_id=erasure_id)


def answer(subject: str, erasure_id: UUID, at: datetime) -> SubscriptionErased:
    return SubscriptionErased(subscription_id=UUID(subject), erasure_id=erasure_id, erased_at=at)


def rows(subjects: Sequence[str]) -> Iterator[QuerySet[Any]]:
    """What is kept about these subscriptions; their orders, too, which may be others' as well."""
    ids = [UUID(subject) for subject in subjects]
    yield Subscription.objects.filter(id__in=ids)
    yield _entries(Subscription.objects.filter(id__in=ids, metadata__isnull=False))
    yield Drift.objects.filter(subscription_id__in=ids)
    yield Order.objects.filter(id__in=_orders(ids))


def _entries(subscriptions: Iterable[Subscription]) -> QuerySet[MetadataEntry]:
    """Found by what they repeat of their subscription: that has an index."""
    theirs = [
        Q(client=row.client, key=key, value=value, created_at=row.created_at, subscription=row)
        for row in subscriptions
        for key, value in (row.metadata or {}).items()
    ]
    entries = MetadataEntry.objects
    return entries.filter(reduce(or_, theirs)) if theirs else entries.none()


def _orders(ids: Sequence[UUID]) -> list[UUID]:
    rows_ = Subscription.objects.filter(id__in=ids, order__isnull=False)
    return [pk for pk in rows_.values_list("order_id", flat=True).distinct() if pk]


def orders_of(subjects: Sequence[str]) -> set[str]:
    """The orders of which all seats are these, or erased before."""
    ids = [UUID(subject) for subject in subjects]
    seats = Subscription.objects.filter(order=OuterRef("pk"))
    others = seats.filter(erased_at__isnull=True).exclude(id__in=ids)
    whole = Order.objects.filter(~Exists(others), id__in=_orders(ids))
    return {str(pk) for pk in whole.values_list("pk", flat=True)}


def erase(subjects: Sequence[str]) -> None:
    """Cancel what is not, and blank what says who it was. An order when its last seat is erased."""
    now, ids = timezone.now(), [UUID(subject) for subject in subjects]
    locked = list(Subscription.objects.filter(id__in=ids).order_by("id").select_for_update())
    _entries(locked).delete()
    cancelled = [row for row in locked if row.cancelled_at is None]
    orders: set[UUID] = set()
    for row in locked:
        orders |= {row.order_id} if row.order_id else set()
        row.cancel(row.cancelled_at or now)
        row.code_revoked_at = row.code_revoked_at or now
        row.erased_at, row.user_id, row.email = now, USER_ID, EMAIL
        row.reference = row.metadata = row.access_code = None
        row.reason = row.failure = row.mail_failure = row.resend_refused = ""
        row.save()
    Drift.objects.filter(subscription_id__in=ids).update(ours="", theirs="", note="")
    webhook_events.report_all("cancelled", cancelled)
    complete(orders)
    kept = Subscription.objects.filter(order=OuterRef("pk"), erased_at__isnull=True)
    whole = Order.objects.filter(~Exists(kept), id__in=orders)
    whole.update(reference=None, metadata=None)
