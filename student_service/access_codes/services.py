"""The use cases: issue a code and its mail for each subscription, and revoke codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from admit_one.database import bulk
from admit_one.messaging import Envelope, Rejected, publish
from admit_one.messaging.their_clock import believed, sift
from django.utils import timezone
from shared_contracts.events import (
    AccessCodeCreated,
    AccessCodeFailed,
    AccessCodeReplaced,
    AccessCodeRevoked,
    SubscriptionCancelled,
    UserSubscribed,
)

from . import codes, resending, terms, webhook_events
from .mails import access_code_mail
from .models import AccessCode, Revocation


class Issued(NamedTuple):
    """A code, its owner, and when it was issued."""

    code: str
    user_id: str
    issued_at: datetime
    generation: int = 1

    def reply(self, subscription_id: UUID) -> AccessCodeCreated | AccessCodeReplaced:
        """What reports this code to the payment side."""
        if self.generation > 1:
            return AccessCodeReplaced(
                subscription_id=subscription_id,
                generation=self.generation,
                access_code=self.code,
                issued_at=self.issued_at,
            )
        return AccessCodeCreated(
            subscription_id=subscription_id,
            user_id=self.user_id,
            access_code=self.code,
            issued_at=self.issued_at,
        )


def issue_access_codes(messages: Sequence[Envelope[UserSubscribed]]) -> list[Rejected]:
    """Issue a code for each subscription, mail it, and reply with it.

    A subscription that already has a code gets the same reply again, and no mail. Where the
    payment side has corrected the address before, the mail goes there.
    Runs in the inbox's transaction. Rejects requests for another user, and those whose terms have
    a version that lies too far ahead.
    """
    messages, rejected = sift(messages)
    requests: dict[UUID, UserSubscribed] = {}
    for message in messages:
        requests.setdefault(message.data.subscription_id, message.data)
    issued = _issue(requests)
    entitled = []
    for message in messages:
        event = message.data
        if event.user_id == issued[event.subscription_id].user_id:
            entitled.append(message)
        else:
            reason = f"subscription {event.subscription_id} has its code for another user"
            rejected.append(Rejected(message, reason))
    publish(
        *(m.follow(issued[m.data.subscription_id].reply(m.data.subscription_id)) for m in entitled)
    )
    _keep_terms([message for message in entitled if message.data.version])
    return rejected


def _keep_terms(messages: Sequence[Envelope[UserSubscribed]]) -> None:
    """Keep the terms that came with the requests, and confirm them."""
    if messages:
        versions = terms.keep(message.data for message in messages)
        publish(*(m.follow(terms.applied(m.data, versions)) for m in messages))


def revoke_access_codes(messages: Sequence[Envelope[SubscriptionCancelled]]) -> None:
    """Revoke the code of each cancelled subscription, issued or not, and reply.

    If it was revoked before, the first revocation stays. Runs in the inbox's transaction.
    """
    now = timezone.now()
    cancelled = {
        message.data.subscription_id: believed(message.data.cancelled_at) for message in messages
    }
    new = bulk.insert_new(
        Revocation,
        [
            {"access_code_id": subscription, "cancelled_at": cancelled_at, "revoked_at": now}
            for subscription, cancelled_at in sorted(cancelled.items())
        ],
        conflict=["access_code_id"],
        returning=["access_code_id"],
    )
    webhook_events.report_of("revoked", [pk for (pk,) in new])
    if len(new) < len(cancelled):  # those that an operator revoked here before have no time
        bulk.update_from(
            Revocation,
            [{"access_code_id": pk, "cancelled_at": at} for pk, at in sorted(cancelled.items())],
            key="access_code_id",
            only_where_null="cancelled_at",
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


def report_failure(message: Envelope[Any], reason: str) -> None:  # noqa: ARG001 (stays here)
    """Report a request for a code that became dead, unless its subscription has a code.

    Why it failed is in the set-aside message; clients of the payment side only hear that it did.
    """
    event = message.data
    if not isinstance(event, UserSubscribed):
        return
    if AccessCode.objects.filter(pk=event.subscription_id).exists():
        return
    failed = AccessCodeFailed(
        subscription_id=event.subscription_id, reason=FAILED, failed_at=timezone.now()
    )
    publish(message.follow(failed))


FAILED = "the student service cannot issue its code; an operator there has to act"


def _issue(requests: Mapping[UUID, UserSubscribed]) -> dict[UUID, Issued]:
    """Issue and mail codes to those without one; returns the codes of all."""
    now = timezone.now()
    drafts = {subscription: codes.make() for subscription in requests}
    new = codes.keep((requests[subscription], code, now) for subscription, code in drafts.items())
    if new:
        corrected = resending.corrected_before(new)
        access_code_mail.write((requests[pk] for pk in sorted(new)), corrected)
    known = AccessCode.objects.in_bulk(requests.keys() - new) if len(new) < len(requests) else {}
    return {
        subscription: Issued(code, requests[subscription].user_id, now)
        for subscription, code in drafts.items()
        if subscription in new
    } | {
        subscription: Issued(row.code, row.user_id, row.issued_at, row.generation)
        for subscription, row in known.items()
    }
