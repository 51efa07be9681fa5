"""The student side of reconciliation: it tells what it has, and takes back what it has lost."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from uuid import UUID

from admit_one.contract.envelope import Envelope
from admit_one.database import bulk
from admit_one.messaging import outbox
from admit_one.sealing import cipher
from shared_contracts.events import (
    ACTIVE,
    REVOKED,
    AccessCodeRestored,
    AccessDigest,
    AccessDigestRequested,
    AccessGrantReported,
    AccessGrantsRequested,
    DigestEntry,
    Position,
    code_digest,
)

from . import codes
from .mails import sending
from .models import AccessCode

logger = logging.getLogger(__name__)

UNREADABLE = "0" * 32
"""Told as the digest of a code that does not open, so that the sides differ in this one only."""

RESTORED = "restored from the payment side; it may have been sent before"


def tell_digests(messages: Sequence[Envelope[AccessDigestRequested]]) -> None:
    """Answer each request with a page of digests; one that came twice in a batch, once."""
    asked = {(message.data.run_id, message.data.after): message for message in messages}
    outbox.publish(*(message.follow(_digest(message.data)) for message in asked.values()))


def _digest(asked: AccessDigestRequested) -> AccessDigest:
    after = (asked.after.occurred_at, asked.after.subscription_id) if asked.after else None
    rows = AccessCode.objects.paid_between(asked.since, asked.until, after)
    page = list(rows.select_related("revocation")[: asked.limit + 1])
    here, more = page[: asked.limit], page[asked.limit :]
    return AccessDigest(
        run_id=asked.run_id,
        after=asked.after,
        entries=tuple(
            DigestEntry(
                subscription_id=row.subscription_id,
                state=REVOKED if row.is_revoked else ACTIVE,
                digest=_digest_of(row),
            )
            for row in here
        ),
        next=_position(here[-1]) if more else None,
    )


def _digest_of(row: AccessCode) -> str:
    try:
        return code_digest(row.subscription_id, row.code)
    except cipher.Unsealable:
        return UNREADABLE


def _position(row: AccessCode) -> Position:
    return Position(
        occurred_at=row.occurred_at or row.issued_at, subscription_id=row.subscription_id
    )


def tell_grants(messages: Sequence[Envelope[AccessGrantsRequested]]) -> None:
    """Tell all that is known of each subscription that was asked for and that has a code."""
    asked = {subscription for message in messages for subscription in message.data.subscription_ids}
    known = _known(asked)
    outbox.publish(
        *(
            message.follow(told)
            for message in messages
            for subscription in message.data.subscription_ids
            if subscription in known
            and (told := _told(known[subscription], message.data.run_id)) is not None
        )
    )


def restore_codes(messages: Sequence[Envelope[AccessCodeRestored]]) -> None:
    """Take back each code that was lost here, mail nothing, and tell what there is now.

    A code that is here stays: whoever holds it may be in already. Of the same code, what was
    paid is noted as the payment side says it.
    """
    told = {message.data.subscription_id: message.data for message in messages}
    events = [told[subscription] for subscription in sorted(told)]
    restored = {
        subscription
        for (subscription,) in bulk.insert_new(
            AccessCode,
            [codes.row(event, event.access_code, event.issued_at) for event in events],
            conflict=["subscription_id"],
            returning=["subscription_id"],
        )
    }
    if restored:
        sending.remember((e for e in events if e.subscription_id in restored), RESTORED)
        logger.warning("restored %d codes that the payment side knew", len(restored))
    known = _known(told)
    for event in events:
        _note_what_was_paid(known[event.subscription_id], event)
    outbox.publish(
        *(
            message.follow(grant)
            for message in messages
            if (grant := _told(known[message.data.subscription_id], message.data.run_id))
            is not None
        )
    )


def _note_what_was_paid(row: AccessCode, event: AccessCodeRestored) -> None:
    paid = {
        "amount": event.amount,
        "currency": event.currency,
        "occurred_at": event.occurred_at,
    }
    same = _digest_of(row) == code_digest(row.subscription_id, event.access_code)
    if same and any(getattr(row, n) != v for n, v in paid.items()):
        AccessCode.objects.filter(pk=row.pk).update(**paid)


def _known(subscriptions: Iterable[UUID]) -> dict[UUID, AccessCode]:
    found = AccessCode.objects.filter(pk__in=list(subscriptions))
    rows = found.select_related("revocation").prefetch_related("mails")
    return {row.subscription_id: row for row in rows}


def _told(row: AccessCode, run_id: UUID) -> AccessGrantReported | None:
    """None if it does not open: without an answer, the payment side leaves it to a person."""
    # The first mail's address is the one that the first request gave.
    first = min(row.mails.all(), key=lambda mail: mail.id)
    try:
        code, address = row.code, first.address
    except cipher.Unsealable as error:
        logger.warning("%s cannot be told: %s", row, error)
        return None
    return AccessGrantReported(
        subscription_id=row.subscription_id,
        run_id=run_id,
        user_id=row.user_id,
        email=address,
        plan=row.plan,
        amount=row.amount,
        currency=row.currency,
        occurred_at=row.occurred_at or row.issued_at,
        access_code=code,
        issued_at=row.issued_at,
        cancelled_at=row.revocation.cancelled_at if row.is_revoked else None,
    )
