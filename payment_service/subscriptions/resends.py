"""A client asks that a code be mailed again: requested of the student side until it answers.

Only the latest request about a subscription counts, on both sides, so their order does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from admit_one.logs import EventLogger
from admit_one.masking import harmless
from admit_one.messaging import Envelope, Rejected, publish
from admit_one.messaging.their_clock import believed, sift
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from shared_contracts.events import AccessCodeResendAnswered

from . import access_reports, code_requests
from .lifecycle import NotPossible
from .models import REQUEST_AGAIN_AFTER, Subscription, request_delay

logger = EventLogger(__name__)

BATCH = 200
"""Subscriptions per transaction."""

ASKED = (
    "email", "email_corrected", "reason",
    "resend_version", "resend_requested_at", "resend_request_id", "resend_requests",
    "resend_next_at",
)  # fmt: skip
"""The columns that a client's request changes."""


@transaction.atomic(savepoint=False)
def request(
    *, client: str, subscription_id: UUID, email: str | None = None, reason: str = ""
) -> Subscription | None:
    """Request that the code be mailed again, to `email` from now on if it is given.

    Returns none if the client has no such subscription. Raises `NotPossible` if its code does not
    work any more, for good.
    """
    mine = Subscription.objects.of(client).select_for_update()
    row = mine.filter(id=subscription_id).first()
    if row is None:
        return None
    if row.cancelled_at is not None:
        raise NotPossible(f"the subscription is {row.status}, so its code is not mailed again")
    if row.code_revoked_at is not None:
        raise NotPossible("the code is revoked, so it is not mailed again")
    now = timezone.now()
    row.ask_to_resend(now, email)
    row.reason = reason
    publish(row.next_resend(now))
    row.save(update_fields=ASKED)
    return row


def request_again() -> int:
    """Repeat the requests of a batch that has waited too long; returns how many rows it checked.

    As `code_requests.request_again` does: the wait counts from the publication, and concurrent
    workers take different rows.
    """
    with transaction.atomic():
        waiting = list(
            Subscription.objects.resend_too_long().select_for_update(skip_locked=True)[:BATCH]
        )
        published = code_requests.published_at({row.id: row.resend_request_id for row in waiting})
        now = timezone.now()
        repeated = 0
        for row in waiting:
            at = published.get(row.resend_request_id, row.resend_requested_at)
            wait = REQUEST_AGAIN_AFTER[0] if at is None else request_delay(row.resend_requests)
            row.resend_next_at = (at or now) + wait
            if row.resend_next_at <= now:
                publish(row.next_resend(now))
                repeated += 1
            row.save(update_fields=ASKED)
    if repeated:
        logger.warning(
            "resends_requested_again",
            "repeated {requests} requests to mail a code again that waited too long",
            requests=repeated,
        )
    return len(waiting)


def note_answers(messages: Sequence[Envelope[AccessCodeResendAnswered]]) -> Iterator[Rejected]:
    """Record how the latest request of each subscription was answered, and repeat it no more.

    Rejects messages about unknown subscriptions, and versions that lie too far ahead.
    """
    possible, rejected = sift(messages)
    yield from rejected

    def columns(event: AccessCodeResendAnswered) -> access_reports.Columns:
        return {
            "resend_answered_at": believed(event.answered_at),
            "resend_refused": harmless(event.refused or "")[:300],
        }

    rows = access_reports.keep(possible, "version", "resend_answered", columns)
    answered = Subscription.objects.filter(
        id__in=rows, resend_next_at__isnull=False, resend_answered__gte=F("resend_version")
    )
    answered.update(resend_next_at=None)
    yield from access_reports.unknown(possible, rows)
