"""Mailboxes that get no more mails: one bounced there, or its recipient reported one as spam.

The mail that met this is the record of it. An operator may lift it for the whole mailbox.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db.models.functions import Now

from access_codes.models import MailIntent

from .mailboxes import mailbox_hash

Reported = MailIntent.Reported

WHY = {
    Reported.BOUNCED.value: "an earlier mail to this mailbox bounced",
    Reported.COMPLAINED.value: "its recipient reported an earlier mail as spam",
}


class Stop(NamedTuple):
    """Why no more mails go to a mailbox, and since when."""

    why: str
    since: datetime | None


def of_address(address: str) -> str:
    """Why no more mails go to this address; empty if they do."""
    stops = MailIntent.objects.stopping().filter(recipient_hash=mailbox_hash(address))
    first = stops.values_list("reported", flat=True).first()
    return WHY[first] if first else ""


def of_codes(subscriptions: Iterable[UUID]) -> Mapping[UUID, Stop]:
    """For each of these whose latest mail went to a stopped mailbox: the stop."""
    mails = MailIntent.objects.filter(access_code__in=[*subscriptions]).order_by("created_at", "id")
    to = {pk: bytes(box) for pk, box in mails.values_list("access_code_id", "recipient_hash")}
    if not to:
        return {}
    stopping = MailIntent.objects.stopping().filter(recipient_hash__in=set(to.values()))
    stops = {
        bytes(box): Stop(reported, at)
        for box, reported, at in stopping.values_list("recipient_hash", "reported", "reported_at")
    }
    return {pk: stops[box] for pk, box in to.items() if box in stops}


def lift(intent: MailIntent) -> int:
    """Let mails go to the mailbox of this mail again; returns how many had stopped them."""
    return (
        MailIntent.objects.stopping()
        .filter(recipient_hash=intent.recipient_hash)
        .update(lifted_at=Now())
    )
