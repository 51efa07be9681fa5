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
"""When it was paid, and which: where a subscription stands in the order of the pages."""


class Found(NamedTuple):
    """One difference, with the digests of both codes."""

    subscription_id: UUID
    kind: Kind
    ours: str = ""
    theirs: str = ""


class Page(NamedTuple):
    found: list[Found]
    ours: int
    """How many of our subscriptions were compared."""
    end: Place | None
    """Where the next page begins; none if this was the last one."""


def compare(run: ReconciliationRun, digest: AccessDigest, *, settled: datetime) -> Page:
    """Compare the page that the run waits for. It reads two pages of rows, whatever was lost.

    Codes issued after `settled` may be missing in the digest without being lost, and what was
    cancelled after it may not be revoked yet.
    """
    theirs = {entry.subscription_id: entry for entry in digest.entries}
    end = place(digest.next)
    here = list(_ours(run, end))
    if len(here) == MOST_DIGESTS:
        # They may have lost more than a page: ours goes on where this one ends.
        end = here[-1].created_at, here[-1].id
    missing = _missing([one for one in here if one.id not in theirs], settled)
    return Page([*missing, *_different(theirs, settled)], len(here), end)


def place(position: Position | None) -> Place | None:
    return None if position is None else (position.occurred_at, position.subscription_id)


def _ours(run: ReconciliationRun, end: Place | None) -> Iterator[Subscription]:
    """Our subscriptions behind the place that the run has reached, as far as `end`."""
    for one in Subscription.objects.paid_between(run.since, run.until, run.after)[:MOST_DIGESTS]:
        if end is not None and (one.created_at, one.id) > end:
            return
        yield one


def _missing(here: Sequence[Subscription], settled: datetime) -> Iterator[Found]:
    for one in here:
        code = one.code_if_it_opens
        if one.cancelled_at is not None:
            continue  # what they do not have lets nobody in
        if code is None:
            yield Found(one.id, Kind.PAID_WITHOUT_CODE)
        elif one.code_issued_at is None or one.code_issued_at <= settled:
            yield Found(one.id, Kind.CODE_LOST, ours=_digest(one))


def _different(theirs: Mapping[UUID, DigestEntry], settled: datetime) -> Iterator[Found]:
    ours = Subscription.objects.in_bulk(list(theirs))
    for subscription_id, entry in theirs.items():
        known = ours.get(subscription_id)
        if known is None:
            yield Found(subscription_id, Kind.CODE_WITHOUT_PAYMENT, theirs=entry.digest)
        elif known.cancelled_at is not None:
            # It may have been revoked since the digest was made.
            since = known.code_revoked_at or known.cancelled_at
            if entry.state != REVOKED and since <= settled:
                yield _found(Kind.CANCELLED_BUT_VALID, known, entry)
        elif entry.state == REVOKED:
            yield _found(Kind.CANCELLATION_LOST, known, entry)
        elif known.access_code is None:
            yield _found(Kind.PAID_WITHOUT_CODE, known, entry)
        elif _digest(known) != entry.digest:
            yield _found(Kind.CODE_DIFFERS, known, entry)


def _found(kind: Kind, known: Subscription, entry: DigestEntry) -> Found:
    return Found(known.id, kind, ours=_digest(known), theirs=entry.digest)


def _digest(known: Subscription) -> str:
    """The digest of our code; empty if there is none."""
    code = known.code_if_it_opens
    return "" if code is None else code_digest(known.id, code)
