"""What the student side reports of a code after it was issued.

The highest generation, version and count are the latest, whatever order they arrive in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from admit_one.contract import Event
from admit_one.database import bulk
from admit_one.masking import harmless
from admit_one.messaging import Envelope, Rejected
from admit_one.messaging.their_clock import believed, sift
from admit_one.sealing import cipher
from shared_contracts.events import (
    AccessCodeEmailed,
    AccessCodeExpiringSoon,
    AccessCodeFailed,
    AccessCodeRedeemed,
    AccessCodeReplaced,
    AccessSuspensionChanged,
    AccessTermsApplied,
)

from . import webhook_events
from .completion import complete
from .models import CODE_PURPOSE, Subscription

Reported = TypeVar("Reported", bound=Event)

Columns = Mapping[str, Any]

LONGEST_AHEAD = timedelta(days=365)
"""The student side says at most so long before that a code expires (`EXPIRING_SOON_DAYS`)."""


def attach_replaced_codes(
    messages: Sequence[Envelope[AccessCodeReplaced]],
) -> Iterator[Rejected]:
    """Store the code of the highest generation of each subscription.

    Rejects messages about unknown subscriptions, and those with another code of the generation
    that is known.
    """

    def columns(event: AccessCodeReplaced) -> Columns:
        code = event.access_code.encode()
        return {
            "access_code": cipher.seal(code, CODE_PURPOSE, event.subscription_id),
            "code_issued_at": believed(event.issued_at),
        }

    rows = keep(messages, "generation", "code_generation", columns)
    first = [row.id for row in rows.values() if row.access_code is None]
    webhook_events.report_of("active", first, with_status=webhook_events.HAS_A_CODE)
    complete(row.order_id for row in rows.values())
    yield from unknown(messages, rows)
    for message in messages:
        row = rows.get(message.data.subscription_id)
        if row is not None and _contradicts(row, message.data):
            reason = f"another code of generation {message.data.generation} of {row} is known"
            yield Rejected(message, reason)


def _contradicts(before: Subscription, event: AccessCodeReplaced) -> bool:
    same = event.generation == before.code_generation
    return same and before.code not in {None, event.access_code}


def confirm_terms(messages: Sequence[Envelope[AccessTermsApplied]]) -> Iterator[Rejected]:
    """Record which version of its terms each code works by.

    Rejects unknown subscriptions, and versions that lie too far ahead.
    """
    possible, rejected = sift(messages)
    yield from rejected
    yield from unknown(possible, keep(possible, "version", "terms_applied"))


def note_redemptions(messages: Sequence[Envelope[AccessCodeRedeemed]]) -> Iterator[Rejected]:
    """Record how often each code was redeemed. Rejects unknown subscriptions."""

    def columns(event: AccessCodeRedeemed) -> Columns:
        return {"redeemed_at": believed(event.redeemed_at)}

    return unknown(messages, keep(messages, "uses", "uses_made", columns, webhook="redeemed"))


def note_suspensions(
    messages: Sequence[Envelope[AccessSuspensionChanged]],
) -> Iterator[Rejected]:
    """Record whether an operator there suspends each code.

    Rejects unknown subscriptions, and versions that lie too far ahead.
    """

    def columns(event: AccessSuspensionChanged) -> Columns:
        return {"suspended_by_operator": event.suspended}

    possible, rejected = sift(messages)
    yield from rejected
    yield from unknown(possible, keep(possible, "version", "suspension_version", columns))


def note_mails(messages: Sequence[Envelope[AccessCodeEmailed]]) -> Iterator[Rejected]:
    """Record when the latest mail with each code was accepted. Rejects unknown subscriptions."""
    return unknown(messages, keep(messages, "emailed_at", "emailed_at", webhook="mailed"))


def note_expiries(messages: Sequence[Envelope[AccessCodeExpiringSoon]]) -> Iterator[Rejected]:
    """Record which end each user was warned of, and when. Rejects unknown subscriptions."""

    def columns(event: AccessCodeExpiringSoon) -> Columns:
        return {"expiring_soon_at": believed(event.noted_at)}

    rows = keep(messages, "valid_until", "expiring_until", columns, ahead=LONGEST_AHEAD)
    return unknown(messages, rows)


def note_failures(messages: Sequence[Envelope[AccessCodeFailed]]) -> None:
    """Record that a code could not be issued; of several times, the latest. Shown until one comes.

    Reports about unknown subscriptions change nothing: anybody may have made such a request.
    """

    def columns(event: AccessCodeFailed) -> Columns:
        return {"failure": harmless(event.reason)[:300]}

    rows = keep(messages, "failed_at", "failed_at", columns)
    complete(row.order_id for row in rows.values())


def keep(
    messages: Sequence[Envelope[Reported]],
    number: str,
    column: str,
    columns: Callable[[Any], Columns] = lambda _: {},
    *,
    ahead: timedelta = timedelta(0),
    webhook: str = "",
) -> dict[UUID, Subscription]:
    """Write the event with the highest `number` of each subscription, if `column` is lower.

    `columns` are further columns of that event; a time may lie `ahead` by its meaning. Clients hear
    of `subscription.{webhook}`, if it is given. Returns the rows as they were before,
    locked.
    """
    highest: dict[UUID, Any] = {}
    for message in messages:
        event: Any = message.data
        known = highest.get(event.subscription_id)
        if known is None or _number(event, number, ahead) > _number(known, number, ahead):
            highest[event.subscription_id] = event
    locked = Subscription.objects.filter(id__in=highest).order_by("id").select_for_update()
    rows = {row.id: row for row in locked}
    later = [
        {"id": row.id, column: value, **columns(highest[row.id])}
        for row in rows.values()
        for value in [_number(highest[row.id], number, ahead)]
        if getattr(row, column) is None or value > getattr(row, column)
    ]
    bulk.update_from(Subscription, later, key="id")
    if webhook:
        webhook_events.report_of(webhook, [row["id"] for row in later])
    return rows


def _number(event: Any, name: str, ahead: timedelta) -> Any:
    """What the events are compared by; a time that lies further ahead of us is not believed."""
    value = getattr(event, name)
    return believed(value, ahead=ahead) if isinstance(value, datetime) else value


def unknown(messages: Sequence[Envelope[Any]], known: Collection[UUID]) -> Iterator[Rejected]:
    for message in messages:
        if message.data.subscription_id not in known:
            yield Rejected(message, f"there is no subscription {message.subject}")
