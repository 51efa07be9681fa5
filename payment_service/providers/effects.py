"""What each command does to a subscription, by the use cases of subscriptions.

The result is the same whatever came before, and however often: what ends a subscription is for
good, and of the periods that were paid, or whose payment failed, only the latest counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypedDict
from uuid import UUID

from django.db import transaction
from subscriptions import lifecycle
from subscriptions.models import Subscription

from .commands import Cancel, Command, Link, PastDue, Record, Refund, Renew
from .models import ProviderStanding
from .models.standing import later


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
    standing.save(update_fields=["paid_until"])
    _bring_up_to_date(standing, row, why)


def _past_due(command: Any, row: Subscription, why: str) -> None:
    standing = ProviderStanding.objects.get(pk=row.pk)
    standing.due_until = later(standing.due_until, command.until)
    standing.save(update_fields=["due_until"])
    _bring_up_to_date(standing, row, why)


def _bring_up_to_date(standing: ProviderStanding, row: Subscription, why: str) -> None:
    """Renew it as far as it is paid, and mark it past due if a later period is not.

    A renewal that comes after the failure of a later period begins the days of grace again.
    """
    until = later(row.valid_until, standing.paid_until)
    is_past_due = row.past_due_at is not None
    whose = _Whose(client=row.client, subscription_id=row.pk, reason=why)
    if until != row.valid_until or (is_past_due and not standing.is_due):
        lifecycle.renew(valid_until=until, may_set_end=True, **whose)
        is_past_due = False
    if standing.is_due and not is_past_due:
        lifecycle.mark_past_due(**whose)


def _cancel(_: Any, row: Subscription, why: str) -> None:
    lifecycle.cancel(client=row.client, subscription_id=row.pk, reason=why)


def _refund(_: Any, row: Subscription, why: str) -> None:
    lifecycle.refund(client=row.client, subscription_id=row.pk, reason=why)


def _nothing(command: Any, row: Subscription, why: str) -> None:
    """It is recorded already, or was only to be linked."""


EFFECTS: Mapping[type[Any], Callable[[Any, Subscription, str], None]] = {
    Record: _nothing,
    Renew: _renew,
    PastDue: _past_due,
    Cancel: _cancel,
    Refund: _refund,
    Link: _nothing,
}
