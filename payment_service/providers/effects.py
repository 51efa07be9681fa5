"""What each command does to a subscription, by the use cases of subscriptions.

The result is the same whatever came before, and however often: what ends a subscription is for
good, and of the periods that were paid, or whose payment failed, only the latest counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypedDict
from uuid import UUID

from django.conf import settings
from django.db import transaction
from subscriptions import lifecycle
from subscriptions.models import Subscription

from .commands import Cancel, Command, Link, Note, PastDue, Record, Refund, Renew
from .models import ProviderStanding
from .models.standing import later

COLLECTING = timedelta(days=1)
"""A provider asks for the money of a period after it began, Stripe about an hour after."""


class _Whose(TypedDict):
    client: str
    subscription_id: UUID
    reason: str


def apply(command: Command, subscription_id: UUID, why: str) -> str:
    """Do what the command says; returns why it changed nothing, if the subscription forbids it.

    Runs in a transaction, which has the subscription's standing locked.
    """
    row = Subscription.objects.select_for_update().filter(pk=subscription_id).first()
    if row is None:
        return "there is no such subscription any more"
    try:
        with transaction.atomic():  # a refusal undoes this part alone
            EFFECTS[type(command)](command, row, why)
    except lifecycle.NotPossible as error:
        return str(error.detail)
    return ""


def _renew(command: Any, row: Subscription, why: str) -> None:
    standing = ProviderStanding.objects.get(pk=row.pk)
    standing.paid_until = later(standing.paid_until, command.until)
    standing.paid_invoice_at = later(standing.paid_invoice_at, command.invoiced_at)
    standing.save(update_fields=["paid_until", "paid_invoice_at"])
    _bring_up_to_date(standing, row, why)


def _past_due(command: Any, row: Subscription, why: str) -> None:
    standing = ProviderStanding.objects.get(pk=row.pk)
    standing.due_until = later(standing.due_until, command.until)
    standing.due_invoice_at = later(standing.due_invoice_at, command.invoiced_at)
    standing.save(update_fields=["due_until", "due_invoice_at"])
    _bring_up_to_date(standing, row, why)


def _bring_up_to_date(standing: ProviderStanding, row: Subscription, why: str) -> None:
    """Renew it as far as it is paid, and mark it past due if its latest invoice is not.

    A renewal that comes after the failure of a later invoice begins the days of grace again.
    """
    until = later(row.valid_until, works_until(standing.paid_until))
    is_due, is_past_due = _is_due(standing, row), row.past_due_at is not None
    whose = _Whose(client=row.client, subscription_id=row.pk, reason=why)
    if until != row.valid_until or (is_past_due and not is_due):
        lifecycle.renew(valid_until=until, may_set_end=True, **whose)
        is_past_due = False
    if is_due and not is_past_due:
        lifecycle.mark_past_due(**whose)


def works_until(paid_until: datetime | None) -> datetime | None:
    """The end that the code gets: the next period is paid, or its payment fails, before that.

    Else it would stop at each renewal until the money is there, and have no days of grace.
    """
    if paid_until is None:
        return None
    return paid_until + COLLECTING + timedelta(days=settings.GRACE_DAYS)


def _is_due(standing: ProviderStanding, row: Subscription) -> bool:
    """Whether its latest invoice is not paid, and the shop has not renewed it beyond that."""
    if not standing.is_due:
        return False
    ours = works_until(standing.paid_until)
    by_shop = row.valid_until is not None and (ours is None or ours < row.valid_until)
    return not by_shop or later(row.valid_until, standing.due_until) != row.valid_until


def _cancel(_: Any, row: Subscription, why: str) -> None:
    lifecycle.cancel(client=row.client, subscription_id=row.pk, reason=why)


def _refund(_: Any, row: Subscription, why: str) -> None:
    lifecycle.refund(client=row.client, subscription_id=row.pk, reason=why)


def _nothing(command: Any, row: Subscription, why: str) -> None:
    """It is recorded already, or was only to be linked or noted."""


EFFECTS: Mapping[type[Any], Callable[[Any, Subscription, str], None]] = {
    Record: _nothing,
    Renew: _renew,
    PastDue: _past_due,
    Cancel: _cancel,
    Refund: _refund,
    Link: _nothing,
    Note: _nothing,
}
