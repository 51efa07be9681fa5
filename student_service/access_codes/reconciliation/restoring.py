"""Restores the codes that were lost here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from admit_one.logs import EventLogger
from admit_one.messaging import Envelope, Rejected
from admit_one.messaging.their_clock import believed
from shared_contracts.events import AccessCodeRestored

from access_codes import codes, webhook_events
from access_codes.mails import access_code_mail
from access_codes.models import AccessCode

from . import access_state, grants

logger = EventLogger(__name__)

RESTORED = "restored from the payment side; it may have been sent before"


def restore_codes(messages: Sequence[Envelope[AccessCodeRestored]]) -> list[Rejected]:
    """Restore each code that was lost here, without mailing it, and report what exists now.

    An existing code stays, because it may have been used already, unless it is of an earlier
    generation: then its replacement was lost.
    Rejects messages with the code of another subscription, and those whose report is not for their
    run (see `grants`).
    """
    events = {message.data.subscription_id: message.data for message in messages}
    taken = _taken(events)
    restored = codes.keep(
        (event, event.access_code, event.issued_at)
        for subscription, event in events.items()
        if subscription not in taken
    )
    _replace({pk: event for pk, event in events.items() if pk not in taken | restored})
    if restored:
        lost = (events[subscription] for subscription in sorted(restored))
        access_code_mail.write_restored(lost, RESTORED)
        logger.warning(
            "codes_restored",
            "restored {codes} lost codes from the payment side",
            codes=len(restored),
        )
    access_state.restore(event for pk, event in events.items() if pk not in taken)
    return grants.confirm(messages) + [
        Rejected(message, f"the code of {message.subject} belongs to another subscription")
        for message in messages
        if message.data.subscription_id in taken
    ]


def _replace(events: Mapping[UUID, AccessCodeRestored]) -> None:
    """Replace the codes that exist here in an earlier generation."""
    later = {pk: event for pk, event in events.items() if event.generation > 1}
    rows = AccessCode.objects.filter(pk__in=later).order_by("pk").select_for_update()
    for row in rows:
        event = later[row.pk]
        if event.generation > row.generation:
            codes.replace(row, event.access_code, event.generation, believed(event.issued_at))
            webhook_events.report_one("replaced", row)
            logger.warning("replacement_restored", "restored the later {code}", code=row)


def _taken(events: Mapping[UUID, AccessCodeRestored]) -> set[UUID]:
    """The subscriptions without a code here whose code belongs to another subscription."""
    owners = {events[subscription].access_code: subscription for subscription in sorted(events)}
    owners |= codes.owners(owners)
    taken = {
        subscription
        for subscription, event in events.items()
        if owners[event.access_code] != subscription
    }
    return taken - set(AccessCode.objects.in_bulk(list(taken))) if taken else taken
