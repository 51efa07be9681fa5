"""The use cases: record subscriptions, and handle what the student side reports of their codes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Unpack
from uuid import UUID

from admit_one.database import bulk, together
from admit_one.logs import EventLogger
from admit_one.masking import harmless
from admit_one.messaging import Envelope, Rejected, publish
from admit_one.messaging.their_clock import believed
from admit_one.sealing import cipher
from django.db.models import Q
from shared_contracts.events import (
    AccessCodeCreated,
    AccessCodeRevoked,
    AccessCodeUndeliverable,
)

from . import metrics, webhook_events
from .completion import complete
from .models import CODE_PURPOSE, NewSubscription, Subscription, add

logger = EventLogger(__name__)


@together.transaction()
def record_subscription(
    *, client: str, test: bool = False, **new: Unpack[NewSubscription]
) -> Subscription:
    """Record what was paid, and request an access code. `test`: by a client's test key."""
    subscription, request = Subscription.paid(client=client, test=test, **new)
    add([subscription])
    publish(request)
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
        returning=["order_id"],
    )
    if attached:
        ids = [subscription_id for subscription_id, _ in attached]
        metrics.observe_codes(ids)
        webhook_events.report_of("active", ids, with_status=webhook_events.HAS_A_CODE)
        complete(order_id for _, order_id in attached)
    if len(attached) == len(messages):
        return iter(())
    return _not_attached(messages)


def _not_attached(messages: Iterable[Envelope[AccessCodeCreated]]) -> Iterator[Rejected]:
    known = Subscription.objects.in_bulk([message.data.subscription_id for message in messages])
    for message in messages:
        subscription = known.get(message.data.subscription_id)
        if subscription is None:
            yield Rejected(message, f"there is no subscription {message.subject}")
        elif subscription.code_generation > 1:
            continue  # the code that replaced it came first
        elif subscription.code != message.data.access_code:
            logger.warning(
                "second_code_refused",
                "a second code arrived for {subscription}; the first is kept",
                subscription=subscription,
            )
            yield Rejected(message, f"a second code arrived for {subscription}; the first is kept")


def confirm_revocations(messages: Sequence[Envelope[AccessCodeRevoked]]) -> Iterator[Rejected]:
    """Record for each subscription that its code no longer works; the first time stays.

    It was cancelled here, or an operator of the student side has revoked its code.
    Rejects messages about unknown subscriptions.
    """
    revoked_at = {
        message.data.subscription_id: believed(message.data.revoked_at) for message in messages
    }
    bulk.update_from(
        Subscription,
        [{"id": row_id, "code_revoked_at": at} for row_id, at in sorted(revoked_at.items())],
        key="id",
        only_where_null="code_revoked_at",
    )
    return _unknown(messages)


def _unknown(messages: Sequence[Envelope[Any]]) -> Iterator[Rejected]:
    ids = {message.data.subscription_id for message in messages}
    known = set(Subscription.objects.filter(id__in=ids).values_list("id", flat=True))
    for message in messages:
        if message.data.subscription_id not in known:
            yield Rejected(message, f"there is no subscription {message.subject}")


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
            mail_failed_at=failed_at, mail_failure=harmless(failure.reason)[:300]
        )
        webhook_events.report_of("mail_failed", [failure.subscription_id] if noted else [])
        if not noted and not subscription.exists():
            yield Rejected(message, f"there is no subscription {message.subject}")
