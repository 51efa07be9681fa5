"""What the student side reports of a code after it was issued.

The highest generation, version and count are the latest, whatever order they arrive in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar
from uuid import UUID

from admit_one.contract import Event
from admit_one.database import bulk
from admit_one.masking import mask
from admit_one.messaging import Envelope, Rejected
from admit_one.messaging.their_clock import believed
from admit_one.sealing import cipher
from shared_contracts.events import (
    AccessCodeEmailed,
    AccessCodeFailed,
    AccessCodeRedeemed,
    AccessCodeReplaced,
    AccessSuspensionChanged,
    AccessTermsApplied,
)

from .models import CODE_PURPOSE, Subscription

Reported = TypeVar("Reported", bound=Event)

Latest = dict[UUID, tuple[Subscription, Any]]
"""By subscription: its row, locked, and the event with the highest number."""


def attach_replaced_codes(
    messages: Sequence[Envelope[AccessCodeReplaced]],
) -> Iterator[Rejected]:
    """Store the code of the highest generation of each subscription.

    Rejects messages about unknown subscriptions, and those with another code of a generation that
    is known.
    """
    latest, rejected = _latest(messages, "generation")
    bulk.update_from(
        Subscription,
        [
            {
                "id": row.id,
                "access_code": cipher.seal(event.access_code.encode(), CODE_PURPOSE, row.id),
                "code_generation": event.generation,
                "code_issued_at": believed(event.issued_at),
            }
            for row, event in latest.values()
            if event.generation > row.code_generation or row.access_code is None
        ],
        key="id",
    )
    yield from rejected
    for message in messages:
        row, event = latest.get(message.data.subscription_id, (None, None))
        if row is not None and event is message.data and _contradicts(row, event):
            reason = f"another code of generation {event.generation} of {row} is known"
            yield Rejected(message, reason)


def _contradicts(row: Subscription, event: AccessCodeReplaced) -> bool:
    return event.generation == row.code_generation and row.code not in {None, event.access_code}


def confirm_terms(messages: Sequence[Envelope[AccessTermsApplied]]) -> Iterator[Rejected]:
    """Record which version of its terms each code works by. Rejects unknown subscriptions."""
    latest, rejected = _latest(messages, "version")
    bulk.update_from(
        Subscription,
        [
            {"id": row.id, "terms_applied": event.version}
            for row, event in latest.values()
            if event.version > row.terms_applied
        ],
        key="id",
    )
    return rejected


def note_redemptions(messages: Sequence[Envelope[AccessCodeRedeemed]]) -> Iterator[Rejected]:
    """Record how often each code was redeemed. Rejects unknown subscriptions."""
    latest, rejected = _latest(messages, "uses")
    bulk.update_from(
        Subscription,
        [
            {
                "id": row.id,
                "uses_made": event.uses,
                "redeemed_at": believed(event.redeemed_at),
            }
            for row, event in latest.values()
            if event.uses > row.uses_made
        ],
        key="id",
    )
    return rejected


def note_suspensions(
    messages: Sequence[Envelope[AccessSuspensionChanged]],
) -> Iterator[Rejected]:
    """Record whether an operator there suspends each code. Rejects unknown subscriptions."""
    latest, rejected = _latest(messages, "version")
    bulk.update_from(
        Subscription,
        [
            {
                "id": row.id,
                "suspension_version": event.version,
                "suspended_by_operator": event.suspended,
            }
            for row, event in latest.values()
            if event.version > row.suspension_version
        ],
        key="id",
    )
    return rejected


def note_mails(messages: Sequence[Envelope[AccessCodeEmailed]]) -> Iterator[Rejected]:
    """Record when the latest mail with each code was accepted. Rejects unknown subscriptions."""
    latest, rejected = _latest(messages, "emailed_at")
    bulk.update_from(
        Subscription,
        [
            {"id": row.id, "emailed_at": at}
            for row, event in latest.values()
            for at in [believed(event.emailed_at)]
            if row.emailed_at is None or at > row.emailed_at
        ],
        key="id",
    )
    return rejected


def note_failures(messages: Sequence[Envelope[AccessCodeFailed]]) -> None:
    """Record that a code could not be issued; of several times, the latest. Shown until one comes.

    Reports about unknown subscriptions change nothing: anybody may have made such a request.
    """
    latest, _ = _latest(messages, "failed_at")
    bulk.update_from(
        Subscription,
        [
            {"id": row.id, "failed_at": believed(event.failed_at), "failure": mask(event.reason)}
            for row, event in latest.values()
        ],
        key="id",
    )


def _latest(
    messages: Sequence[Envelope[Reported]], number: str
) -> tuple[Latest, Iterator[Rejected]]:
    """The event with the highest `number` of each subscription, and what to reject."""
    highest: dict[UUID, Any] = {}
    for message in messages:
        event: Any = message.data
        known = highest.get(event.subscription_id)
        if known is None or getattr(event, number) > getattr(known, number):
            highest[event.subscription_id] = event
    rows = Subscription.objects.filter(id__in=highest).order_by("id").select_for_update()
    latest = {row.id: (row, highest[row.id]) for row in rows}
    unknown = [message for message in messages if UUID(message.subject) not in latest]
    return latest, (
        Rejected(message, f"there is no subscription {message.subject}") for message in unknown
    )
