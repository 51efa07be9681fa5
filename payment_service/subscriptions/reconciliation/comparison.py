"""One page of the student side's digests beside our own rows: where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from shared_contracts.events import (
    MOST_DIGESTS,
    REVOKED,
    AccessDigest,
    DigestEntry,
    Position,
    code_digest,
)

from subscriptions.models import Drift, ReconciliationRun, Subscription

Kind = Drift.Kind
Place = tuple[datetime, UUID]
"""When it was paid, and its id: where a subscription stands in the order of the pages."""


class Difference(NamedTuple):
    """A subscription on which both sides differ, with the digests of both codes."""

    subscription_id: UUID
    kind: Kind
    ours: str = ""
    theirs: str = ""


class ComparedPage(NamedTuple):
    differences: list[Difference]
    ours: int
    """How many of our subscriptions were compared."""
    end: Place | None
    """Where the next page begins; none if this was the last one."""


def compare(run: ReconciliationRun, digest: AccessDigest, *, horizon: datetime) -> ComparedPage:
    """Compare the page that the run waits for. It reads two pages of rows, whatever was lost.

    What was issued or cancelled after `horizon` may still be on its way, and is no difference.
    """
    theirs = {entry.subscription_id: entry for entry in digest.entries}
    end = place(digest.next)
    ours = list(_ours(run, end))
    if len(ours) == MOST_DIGESTS:
        # They may have lost more than a page: ours goes on where this one ends.
        end = ours[-1].created_at, ours[-1].id
    missing = _missing([row for row in ours if row.id not in theirs], horizon)
    return ComparedPage([*missing, *_different(theirs, horizon)], len(ours), end)


def place(position: Position | None) -> Place | None:
    return None if position is None else (position.occurred_at, position.subscription_id)


def _ours(run: ReconciliationRun, end: Place | None) -> Iterator[Subscription]:
    """Our subscriptions behind the place that the run has reached, as far as `end`."""
    for row in Subscription.objects.paid_between(run.since, run.until, run.after)[:MOST_DIGESTS]:
        if end is not None and (row.created_at, row.id) > end:
            return
        yield row


def _missing(ours: Sequence[Subscription], horizon: datetime) -> Iterator[Difference]:
    """What differs where the student side has no code."""
    for row in ours:
        if row.cancelled_at is not None:
            continue  # what they do not have lets nobody in
        if row.access_code is None:
            yield Difference(row.id, Kind.PAID_WITHOUT_CODE)
        elif row.code_issued_at is None or row.code_issued_at <= horizon:
            yield Difference(row.id, Kind.CODE_LOST, ours=_digest(row))


def _different(theirs: Mapping[UUID, DigestEntry], horizon: datetime) -> Iterator[Difference]:
    """What differs where the student side has a code."""
    ours = Subscription.objects.in_bulk(list(theirs))
    for subscription_id, entry in theirs.items():
        row = ours.get(subscription_id)
        kind = Kind.CODE_WITHOUT_PAYMENT if row is None else _kind(row, entry, horizon)
        if kind is not None:
            digest = "" if row is None else _digest(row)
            yield Difference(subscription_id, kind, ours=digest, theirs=entry.digest)


def _kind(row: Subscription, entry: DigestEntry, horizon: datetime) -> Kind | None:
    """How a code of theirs differs from our row, if it does."""
    is_revoked = entry.state == REVOKED
    if row.cancelled_at is not None:
        # It may have been revoked since the digest was made.
        since = row.code_revoked_at or row.cancelled_at
        return Kind.CANCELLED_BUT_VALID if not is_revoked and since <= horizon else None
    if is_revoked:
        return Kind.CANCELLATION_LOST
    if row.access_code is None:
        return Kind.PAID_WITHOUT_CODE
    return Kind.CODE_DIFFERS if _digest(row) != entry.digest else None


def _digest(row: Subscription) -> str:
    """The digest of our code; empty if there is none."""
    code = row.code_if_it_opens
    return "" if code is None else code_digest(row.id, code)
