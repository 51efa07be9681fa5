"""The use cases: record and cancel subscriptions, and handle the student side's replies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Unpack
from uuid import UUID

from admit_one.database import bulk
from admit_one.logs import EventLogger
from admit_one.masking import mask
from admit_one.messaging import Envelope, Rejected, publish
from admit_one.messaging.their_clock import believed
from admit_one.sealing import cipher
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from shared_contracts.events import (
    AccessCodeCreated,
    AccessCodeRevoked,
    AccessCodeUndeliverable,
)

from . import code_requests, metrics
from .models import CODE_PURPOSE, Paid, Subscription

logger = EventLogger(__name__)


@transaction.atomic(savepoint=False)
def record_subscription(*, client: str, **paid: Unpack[Paid]) -> Subscription:
    """Record what was paid, and request an access code."""
    subscription = Subscription(client=client, **paid)
    request = subscription.next_request(subscription.created_at)
    subscription.save(force_insert=True)
    publish(request)
    return subscription


@transaction.atomic(savepoint=False)
def cancel_subscription(*, client: str, subscription_id: UUID) -> Subscription | None:
    """Cancel a subscription and request that its code be revoked. Cancelling is idempotent.

    Returns none if the client has no such subscription.
    """
    mine = Subscription.objects.of(client).select_for_update()
    subscription = mine.filter(id=subscription_id).first()
    if subscription is not None and subscription.cancelled_at is None:
        now = timezone.now()
        subscription.cancel(now)
        code_requests.request([subscription], now)
    return subscription


def attach_access_codes(messages: Sequence[Envelope[AccessCodeCreated]]) -> Iterator[Rejected]:
    """Store each code with its subscription, unless it has one already.

    Rejects messages about unknown subscriptions, and those with another code.
    """
    first: dict[UUID, AccessCodeCreated] = {}
    for message in messages:
        first.setdefault(message.data.subscription_id, message.data)
    attached = bulk.update_from(
        Subscription,
        [
            {
                "id": subscription_id,
                "access_code": cipher.seal(
                    event.access_code.encode(), CODE_PURPOSE, subscription_id
                ),
                "code_issued_at": believed(event.issued_at),
            }
            for subscription_id, event in sorted(first.items())
        ],
        key="id",
        only_where_null="access_code",
    )
    if attached:
        metrics.observe_codes(attached)
    if len(attached) == len(messages):
        return iter(())
    return _not_attached(messages)


def _not_attached(messages: Iterable[Envelope[AccessCodeCreated]]) -> Iterator[Rejected]:
    known = Subscription.objects.in_bulk([message.data.subscription_id for message in messages])
    for message in messages:
        subscription = known.get(message.data.subscription_id)
        if subscription is None:
            yield Rejected(message, f"there is no subscription {message.subject}")
        elif subscription.code != message.data.access_code:
            logger.warning(
                "second_code_refused",
                "a second code arrived for {subscription}; the first is kept",
                subscription=subscription,
            )
            yield Rejected(message, f"a second code arrived for {subscription}; the first is kept")


def confirm_revocations(messages: Sequence[Envelope[AccessCodeRevoked]]) -> Iterator[Rejected]:
    """Record for each cancelled subscription that its code no longer works.

    Rejects messages about subscriptions that are unknown or not cancelled.
    """
    revoked_at = {
        message.data.subscription_id: believed(message.data.revoked_at) for message in messages
    }
    known = Subscription.objects.filter(id__in=revoked_at, cancelled_at__isnull=False)
    cancelled = sorted(known.values_list("id", flat=True))
    bulk.update_from(
        Subscription,
        [{"id": row_id, "code_revoked_at": revoked_at[row_id]} for row_id in cancelled],
        key="id",
        only_where_null="code_revoked_at",
    )
    for message in messages:
        if message.data.subscription_id not in cancelled:
            yield Rejected(message, f"no subscription {message.subject} was cancelled here")


def note_undeliverable_codes(
    messages: Sequence[Envelope[AccessCodeUndeliverable]],
) -> Iterator[Rejected]:
    """Record for each subscription that its mail was given up; of several failures, the latest.

    Rejects messages about unknown subscriptions.
    """
    for message in messages:
        failure = message.data
        failed_at = believed(failure.failed_at)
        subscription = Subscription.objects.filter(id=failure.subscription_id)
        new_or_later = Q(mail_failed_at__isnull=True) | Q(mail_failed_at__lt=failed_at)
        noted = subscription.filter(new_or_later).update(
            mail_failed_at=failed_at, mail_failure=mask(failure.reason)[:300]
        )
        if not noted and not subscription.exists():
            yield Rejected(message, f"there is no subscription {message.subject}")
