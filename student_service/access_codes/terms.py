"""The terms of an access, as the payment side changes them: the highest version counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

from admit_one.database import bulk
from admit_one.messaging import Envelope, Rejected, publish
from admit_one.messaging.their_clock import sift
from admit_one.webhooks import heard
from django.utils import timezone
from shared_contracts.events import AccessTermsApplied, AccessTermsChanged

from shared_contracts import events

from . import webhook_events
from .models import Suspension, Terms

PAYMENT, OPERATOR = Suspension.Maker.PAYMENT, Suspension.Maker.OPERATOR


def apply_terms(messages: Sequence[Envelope[AccessTermsChanged]]) -> list[Rejected]:
    """Keep the terms of each access, whether its code exists or not, and confirm what is kept.

    Runs in the inbox's transaction. Rejects versions that lie too far ahead.
    """
    possible, rejected = sift(messages)
    versions = keep(message.data for message in possible)
    publish(*(message.follow(applied(message.data, versions)) for message in possible))
    return rejected


def applied(event: events.Terms, versions: dict[UUID, int]) -> AccessTermsApplied:
    """The confirmation of what `keep` returned for this event."""
    subscription = _subscription(event)
    return AccessTermsApplied(subscription_id=subscription, version=versions[subscription])


def keep(given: Iterable[events.Terms]) -> dict[UUID, int]:
    """Keep the terms with the highest version of each access; events without terms have none.

    Returns the version that each access of the others has now.
    """
    latest: dict[UUID, events.Terms] = {}
    for event in given:
        subscription = _subscription(event)
        if event.version > (latest[subscription].version if subscription in latest else 0):
            latest[subscription] = event
    rows = [_row(subscription, event) for subscription, event in sorted(latest.items())]
    unique = ["access_code_id"]
    new = {kept for (kept,) in bulk.insert_new(Terms, rows, conflict=unique, returning=unique)}
    known = _known(latest.keys() - new)
    later = {
        subscription
        for subscription, row in known.items()
        if latest[subscription].version > row.version
    }
    changed = [
        row | _since(row, known[row["access_code_id"]])
        for row in rows
        if row["access_code_id"] in later
    ]
    bulk.update_from(Terms, changed, key="access_code_id")
    _suspend({subscription: latest[subscription] for subscription in new | later})
    return {subscription: event.version for subscription, event in latest.items()} | {
        subscription: row.version
        for subscription, row in known.items()
        if subscription not in later
    }


def _subscription(event: events.Terms) -> UUID:
    return UUID(event.subject)


def _row(subscription: UUID, event: events.Terms) -> dict[str, Any]:
    return {
        "access_code_id": subscription,
        "version": event.version,
        "valid_from": event.valid_from,
        "valid_until": event.valid_until,
        "uses": event.uses,
        "ends_since": timezone.now(),
        "expiry_noted": False,  # other terms may make it worth telling
        "end_reported": False,
    }


def _since(row: dict[str, Any], known: Terms) -> dict[str, Any]:
    """An end that stays the same is known since before, and may be reported."""
    if row["valid_until"] != known.valid_until:
        return {}
    return {"ends_since": known.ends_since, "end_reported": known.end_reported}


def _known(subscriptions: Collection[UUID]) -> dict[UUID, Terms]:
    """The terms that were kept before; their rows are locked."""
    if not subscriptions:
        return {}
    locked = Terms.objects.filter(pk__in=subscriptions).order_by("pk").select_for_update()
    return {row.pk: row for row in locked}


def _suspend(changed: dict[UUID, events.Terms]) -> None:
    """Suspend each access, or lift that, as its new terms say."""
    now = timezone.now()
    suspended = sorted(pk for pk, event in changed.items() if event.suspended)
    new = bulk.insert_new(
        Suspension,
        [{"subscription_id": pk, "maker": PAYMENT, "since": now} for pk in suspended],
        conflict=["subscription_id", "maker"],
        returning=["subscription_id"],
    )
    ids = [pk for (pk,) in new]
    webhook_events.report_of("suspended", ids, unless_suspended_by=OPERATOR)
    if lifted := changed.keys() - set(suspended):
        _lift(lifted)


def _lift(subscriptions: Collection[UUID]) -> None:
    suspended = Suspension.objects.filter(subscription_id__in=subscriptions, maker=PAYMENT)
    ids = []
    if heard("access.reinstated"):
        ids = list(suspended.values_list("subscription_id", flat=True))
    suspended.delete()
    webhook_events.report_of("reinstated", ids, unless_suspended_by=OPERATOR)
