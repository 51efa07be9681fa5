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

from admit_one.contract.fields import spellings
from admit_one.database.distinct import each_value
from admit_one.erasure.definition import Found, Person
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from shared_contracts.events import SubscriptionErased, SubscriptionErasureRequested

from . import webhook_events
from .completion import complete
from .models import Drift, MetadataEntry, Order, Subscription

USER_ID, EMAIL = "erased", "erased@erased.invalid"
"""What stands in place of a person. No mail ever goes to `.invalid` (RFC 6761)."""


ENTRIES = 200
"""Metadata entries in one query: SQLite refuses a condition of more than 1,000."""

WINDOW = 5_000
"""Rows that are searched together for an address."""


def find(person: Person) -> Found:
    """The given subscriptions that exist, and those of these users and addresses."""
    rows = Subscription.objects.filter(id__in=person.subjects).values_list("pk", "client")
    subjects = {str(pk): client for pk, client in rows}
    # By client, as the index has it, and one after the other.
    for client in person.clients or each_value(Subscription, "client"):
        theirs = Subscription.objects.of(client).filter(user_id__in=person.user_ids)
        subjects |= {str(pk): client for pk in theirs.values_list("pk", flat=True)}
    if person.emails:
        subjects |= _with_address(person.emails, person.clients)
    return Found(subjects)


def _with_address(emails: Collection[str], clients: Collection[str]) -> dict[str, str]:
    """Each subscription with one of these addresses, however it is spelled, and its client.

    No index knows all spellings, and one that did would cost each sale more than this costs.
    """
    wanted = {spelling for email in emails for spelling in spellings(email)}
    subjects: dict[str, str] = {}
    rows = Subscription.objects.order_by("pk").values_list("pk", "client", "email")
    page = list(rows[:WINDOW])
    while page:
        for pk, client, email in page:
            if email.lower() in wanted and (not clients or client in clients):
                subjects[str(pk)] = client
        page = list(rows.filter(pk__gt=page[-1][0])[:WINDOW])
    return subjects


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
    yield from _entries(Subscription.objects.filter(id__in=ids, metadata__isnull=False))
    yield Drift.objects.filter(subscription_id__in=ids)
    yield Order.objects.filter(id__in=_orders(ids))


def _entries(subscriptions: Iterable[Subscription]) -> Iterator[QuerySet[MetadataEntry]]:
    """Found by what they repeat of their subscription: that has an index."""
    theirs = [
        Q(client=row.client, key=key, value=value, created_at=row.created_at, subscription=row)
        for row in subscriptions
        for key, value in (row.metadata or {}).items()
    ]
    yield MetadataEntry.objects.none()  # the model is named even if there are none
    for start in range(0, len(theirs), ENTRIES):
        yield MetadataEntry.objects.filter(reduce(or_, theirs[start : start + ENTRIES]))


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
    for entries in _entries(locked):
        entries.delete()
    cancelled = [row for row in locked if row.cancelled_at is None]
    orders: set[UUID] = set()
    for row in locked:
        orders |= {row.order_id} if row.order_id else set()
        row.cancel(row.cancelled_at or now)
        row.code_revoked_at = row.code_revoked_at or now
        row.erased_at = row.erased_at or now
        row.user_id, row.email, row.language = USER_ID, EMAIL, None
        row.reference = row.metadata = row.access_code = None
        row.reason = row.failure = row.mail_failure = row.resend_refused = ""
        row.save()
    Drift.objects.filter(subscription_id__in=ids).update(ours="", theirs="", note="")
    webhook_events.report_all("cancelled", cancelled)
    complete(orders)
    kept = Subscription.objects.filter(order=OuterRef("pk"), erased_at__isnull=True)
    whole = Order.objects.filter(~Exists(kept), id__in=orders)
    whole.update(reference=None, metadata=None)
