"""Test data for both sides of a comparison."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from admit_one.contract import Event
from admit_one.contract.envelope import Envelope
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.testing import an_envelope, an_event, deliver, published
from django.utils import timezone
from shared_contracts.events import (
    AccessChecksum,
    AccessChecksumRequested,
    AccessCodeRevoked,
    AccessDigest,
    AccessDigestRequested,
    AccessGrantReported,
    DigestEntry,
    Position,
    code_digest,
)
from subscriptions import lifecycle
from subscriptions.models import Drift, ReconciliationRun, Subscription
from subscriptions.reconciliation import runs

from tests.factories import CODE, a_code_for, a_subscription

LONG_AGO = timedelta(hours=3)


def paid(count: int = 1, code: str | None = CODE, before: timedelta = LONG_AGO) -> list[UUID]:
    """Subscriptions that are old enough to be compared, with their requests published."""
    ids = []
    for n in range(count):
        subscription = a_subscription()
        at = timezone.now() - before + timedelta(seconds=n)
        if code is not None:
            deliver(a_code_for(subscription.id, code))
        Subscription.objects.filter(pk=subscription.pk).update(created_at=at, code_issued_at=at)
        ids.append(subscription.id)
    OutboxMessage.objects.update(published_at=timezone.now())
    return ids


def codes(ids: Sequence[UUID], code: str = CODE) -> dict[UUID, str]:
    return dict.fromkeys(ids, code)


def requested(event: type[Event] = AccessDigestRequested) -> list[Any]:
    return [message.data for message in published() if type(message.data) is event]


def checksum(
    value: str,
    next: Position | None = None,  # noqa: A002 (the field's name)
) -> Envelope[AccessChecksum]:
    """The student side's answer to the latest request for a checksum."""
    end_break()
    request = [m for m in published() if isinstance(m.data, AccessChecksumRequested)][-1]
    after = request.data.after
    page = AccessChecksum(run_id=request.data.run_id, after=after, checksum=value, next=next)
    return request.follow(page)


NOTHING: Mapping[str, Any] = {}


def answer(
    theirs: dict[UUID, str],
    next: Position | None = None,  # noqa: A002 (the field's name)
    revoked: Collection[UUID] = (),
    entry: Mapping[str, Any] = NOTHING,
) -> Envelope[AccessDigest]:
    """The student side's entries of the latest page, after a checksum that differed."""
    end_break()
    kinds = AccessChecksumRequested, AccessDigestRequested
    if isinstance([m for m in published() if isinstance(m.data, kinds)][-1].data, kinds[0]):
        deliver(checksum("f" * 32))
    request = [m for m in published() if isinstance(m.data, AccessDigestRequested)][-1]
    page = AccessDigest(
        run_id=request.data.run_id,
        after=request.data.after,
        entries=tuple(
            DigestEntry(
                subscription_id=i,
                digest=code_digest(i, code),
                **{"state": "revoked" if i in revoked else "active", **entry},
            )
            for i, code in theirs.items()
        ),
        next=next,
    )
    return request.follow(page)


def end_break() -> None:
    """Let the break between two pages be over."""
    ReconciliationRun.objects.filter(requests=0).update(requested_at=timezone.now())
    runs.request_due()


def position_of(subscription: UUID) -> Position:
    row = Subscription.objects.get(pk=subscription)
    return Position(occurred_at=row.created_at, subscription_id=row.id)


def compared(
    theirs: dict[UUID, str],
    *,
    repair: bool = False,
    revoked: Collection[UUID] = (),
    entry: Mapping[str, Any] = NOTHING,
    **window: datetime,
) -> ReconciliationRun:
    """A run whose only page has this answer."""
    run = runs.start(repair=repair, **window)
    deliver(answer(theirs, revoked=revoked, entry=entry))
    return latest(run)


def cancelled(*ids: UUID, before: timedelta = LONG_AGO) -> None:
    """Cancel these, with the cancellations published and confirmed at that time."""
    at = timezone.now() - before
    for subscription in ids:
        lifecycle.cancel(client="shop", subscription_id=subscription)
        deliver(an_envelope(AccessCodeRevoked, subscription_id=subscription, revoked_at=at))
    Subscription.objects.filter(id__in=ids).update(cancelled_at=at)
    OutboxMessage.objects.update(published_at=timezone.now())


def latest(run: ReconciliationRun) -> ReconciliationRun:
    refreshed = runs.refresh(run.id)
    assert refreshed is not None
    return refreshed


def drift(run: ReconciliationRun) -> dict[UUID, tuple[str, str]]:
    return {d.subscription_id: (d.kind, d.state) for d in run.drifts.all()}


def reported(subscription: UUID, **changes: Any) -> Envelope[AccessGrantReported]:
    """The student side's report of a subscription in the latest run."""
    run = ReconciliationRun.objects.latest("started_at")
    event = an_event(AccessGrantReported, subscription_id=subscription, run_id=run.id, **changes)
    return Envelope.of(event, correlation=str(run.id))


def pass_time(by: timedelta) -> None:
    for run in ReconciliationRun.objects.all():
        run.requested_at -= by
        run.save()
    for difference in Drift.objects.filter(tried_at__isnull=False):
        assert difference.tried_at
        difference.tried_at -= by
        difference.save()
