"""Each subscription gets its one code, and its mail is written; codes are revoked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from admit_one.contract import Envelope, Rejected
from admit_one.database import bulk
from admit_one.messaging import publish
from django.utils import timezone
from shared_contracts.events import (
    AccessCodeCreated,
    AccessCodeRevoked,
    SubscriptionCancelled,
    UserSubscribed,
)

from . import codes
from .mails import access_code_mail
from .models import AccessCode, Revocation


class Issued(NamedTuple):
    """A code, its owner, and when it was issued."""

    code: str
    user_id: str
    issued_at: datetime


def issue_access_codes(messages: Sequence[Envelope[UserSubscribed]]) -> list[Rejected]:
    """Give each subscription its one code, mail it, and reply with it.

    A subscription that already has its code gets the same reply again, and no mail.
    Runs in the inbox's transaction; returns the messages it refuses.
    """
    requests: dict[UUID, UserSubscribed] = {}
    for message in messages:
        requests.setdefault(message.data.subscription_id, message.data)
    issued = _issue(requests)
    replies, rejected = [], []
    for message in messages:
        event = message.data
        code, user_id, issued_at = issued[event.subscription_id]
        if event.user_id != user_id:
            reason = f"subscription {event.subscription_id} has its code for another user"
            rejected.append(Rejected(message, reason))
            continue
        reply = AccessCodeCreated(
            subscription_id=event.subscription_id,
            user_id=user_id,
            access_code=code,
            issued_at=issued_at,
        )
        replies.append(message.follow(reply))
    publish(*replies)
    return rejected


def revoke_access_codes(messages: Sequence[Envelope[SubscriptionCancelled]]) -> None:
    """Revoke the code of each cancelled subscription, even if it is not issued yet, and reply.

    A code that was revoked before keeps its first revocation. Runs in the inbox's transaction.
    """
    now = timezone.now()
    cancelled = {message.data.subscription_id: message.data.cancelled_at for message in messages}
    bulk.insert_new(
        Revocation,
        [
            {"access_code_id": subscription, "cancelled_at": cancelled_at, "revoked_at": now}
            for subscription, cancelled_at in sorted(cancelled.items())
        ],
        conflict=["access_code_id"],
        returning=["access_code_id"],
    )
    revoked = Revocation.objects.in_bulk(list(cancelled))
    replies = (
        message.follow(
            AccessCodeRevoked(
                subscription_id=message.data.subscription_id,
                revoked_at=revoked[message.data.subscription_id].revoked_at,
            )
        )
        for message in messages
    )
    publish(*replies)


def _issue(requests: Mapping[UUID, UserSubscribed]) -> dict[UUID, Issued]:
    """A new code, with its mail, for each that has none; the existing code for the others."""
    now = timezone.now()
    drafts = {subscription: codes.make() for subscription in sorted(requests)}
    new = {
        subscription
        for (subscription,) in bulk.insert_new(
            AccessCode,
            [codes.row(requests[subscription], code, now) for subscription, code in drafts.items()],
            conflict=["subscription_id"],
            returning=["subscription_id"],
        )
    }
    if new:
        access_code_mail.write(
            requests[subscription] for subscription in drafts if subscription in new
        )
    known = AccessCode.objects.in_bulk(requests.keys() - new) if len(new) < len(requests) else {}
    return {
        subscription: Issued(code, requests[subscription].user_id, now)
        for subscription, code in drafts.items()
        if subscription in new
    } | {
        subscription: Issued(row.code, row.user_id, row.issued_at)
        for subscription, row in known.items()
    }
