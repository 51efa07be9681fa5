"""Compares a page of the student side's digests with our rows, and records the drift."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from admit_one.database import bulk
from admit_one.messaging import Envelope
from admit_one.messaging.tombstones import Tombstone
from django.db.models import Q
from django.utils import timezone
from shared_contracts.events import (
    ERASED,
    MAX_DIGESTS,
    REVOKED,
    AccessDigest,
    DigestEntry,
    Position,
    code_digest,
)

from subscriptions.models import Drift, ReconciliationRun, Subscription

from . import repairs, runs
from .window import before

Kind = Drift.Kind


class Difference(NamedTuple):
    """A subscription on which both sides differ. `ours` and `theirs` are digests of the codes."""

    subscription_id: UUID
    kind: Kind
    ours: str = ""
    theirs: str = ""


class ComparedPage(NamedTuple):
    differences: list[Difference]
    ours: int
    """How many of our subscriptions were compared."""
    end: Position | None
    """Where the next page starts; none if this is the last."""


def compare_pages(messages: Sequence[Envelope[AccessDigest]]) -> None:
    """Compare each page that its run is waiting for, and request the next one."""
    for message in messages:
        run = runs.lock_comparing(message.data.run_id, message.data.after)
        if run is not None:
            _continue(run, message)


def _continue(run: ReconciliationRun, message: Envelope[AccessDigest]) -> None:
    """Record the drift of a page; then request the next one, or conclude the run."""
    page = _compare(run, message.data, horizon=before(min(message.time, timezone.now())))
    new = _record(run, page.differences)
    run.compared += page.ours + new[Drift.Kind.CODE_WITHOUT_PAYMENT]
    runs.advance(run, page.end)


def _record(run: ReconciliationRun, differences: Sequence[Difference]) -> Counter[str]:
    """Record new drift and start its repair; returns how many there are of each kind."""
    now = timezone.now()
    rows = [
        {
            "run_id": run.id,
            **difference._asdict(),
            "state": Drift.State.REPAIRING if run.repair else Drift.State.OPEN,
            "tries": int(run.repair),
            "tried_at": now if run.repair else None,
            "found_at": now,
        }
        for difference in sorted(differences)
    ]
    new = dict(
        bulk.insert_new(
            Drift,
            rows,
            conflict=("run_id", "subscription_id"),
            returning=("subscription_id", "kind"),
        )
    )
    if run.repair:
        repairs.begin(run, new)
    return Counter(new.values())


def _compare(run: ReconciliationRun, digest: AccessDigest, *, horizon: datetime) -> ComparedPage:
    """Compare one page. Whatever was lost, this reads at most two pages of rows.

    What was issued or cancelled after `horizon` may still be in transit, so it is no difference.
    """
    theirs = {entry.subscription_id: entry for entry in digest.entries}
    end = digest.next
    ours = list(_ours(run, end))
    if len(ours) == MAX_DIGESTS:
        # They may have lost more than a page: continue where our page ends.
        end = Position(occurred_at=ours[-1].created_at, subscription_id=ours[-1].id)
    missing = _missing([row for row in ours if row.id not in theirs], horizon)
    return ComparedPage([*missing, *_different(theirs, horizon)], len(ours), end)


def _ours(run: ReconciliationRun, end: Position | None) -> Iterator[Subscription]:
    """Our subscriptions from the run's position up to `end`, at most a page."""
    for row in Subscription.objects.paid_between(run.since, run.until, run.after)[:MAX_DIGESTS]:
        if end and (row.created_at, row.id) > (end.occurred_at, end.subscription_id):
            return
        yield row


def _missing(ours: Sequence[Subscription], horizon: datetime) -> Iterator[Difference]:
    """The differences among subscriptions without a code on the student side."""
    erased = [
        row.id
        for row in ours
        if row.erased_at is not None
        and row.erased_at <= horizon
        and row.code_issued_at is not None  # they list an erased code, too
    ]
    for subscription_id in sorted(set(erased) - _erased_without_a_code(erased)):
        yield Difference(subscription_id, Kind.ERASED_HERE)
    for row in ours:
        if row.cancelled_at is not None:
            continue  # a code that they do not have cannot be used
        if row.access_code is None:
            yield Difference(row.id, Kind.PAID_WITHOUT_CODE)
        elif row.code_issued_at is None or row.code_issued_at <= horizon:
            yield Difference(row.id, Kind.CODE_LOST, ours=_digest(row))


def _erased_without_a_code(subscriptions: Sequence[UUID]) -> set[UUID]:
    """Those that they erased again after they had lost them: they have no code to list any more."""
    closed = Drift.objects.filter(
        subscription_id__in=subscriptions,
        kind=Kind.ERASED_HERE,
        state__in=[Drift.State.REPAIRED, Drift.State.HEALED],
    )
    return set(closed.values_list("subscription_id", flat=True))


def _different(theirs: Mapping[UUID, DigestEntry], horizon: datetime) -> Iterator[Difference]:
    """The differences among subscriptions with a code on the student side."""
    ours = Subscription.objects.in_bulk(list(theirs))
    under_way = _erasures_under_way(theirs, horizon)
    for subscription_id, entry in theirs.items():
        if subscription_id in under_way:
            continue
        row = ours.get(subscription_id)
        kind = _kind_of_missing(entry) if row is None else _kind(row, entry, horizon)
        if kind is not None:
            digest = "" if row is None else _digest(row)
            yield Difference(subscription_id, kind, ours=digest, theirs=entry.digest)


def _erasures_under_way(theirs: Mapping[UUID, DigestEntry], horizon: datetime) -> set[UUID]:
    """Those of which one side may have heard only after the digest that they are erased."""
    stones = Tombstone.objects.filter(
        Q(created_at__gt=horizon) | Q(erased_at__gt=horizon), subject__in=list(map(str, theirs))
    )
    return {UUID(subject) for subject in stones.values_list("subject", flat=True)}


def _kind(row: Subscription, entry: DigestEntry, horizon: datetime) -> Kind | None:
    """How their code differs from our row; none if it does not."""
    if entry.state == ERASED or row.erased_at is not None:
        return _kind_of_erased(row, entry)
    is_revoked = entry.state == REVOKED
    if row.cancelled_at is not None or row.code_revoked_at is not None:
        # It may have been revoked after the digest was made.
        since = row.code_revoked_at or row.cancelled_at
        if is_revoked or since is None or since > horizon:
            return None
        return Kind.CANCELLED_BUT_VALID if row.cancelled_at is not None else Kind.REVOCATION_LOST
    if is_revoked:
        return Kind.CANCELLATION_LOST
    if row.access_code is None:
        return Kind.PAID_WITHOUT_CODE
    return _kind_of_code(row, entry) or _kind_of_terms(row, entry, horizon)


def _kind_of_missing(entry: DigestEntry) -> Kind | None:
    """Nothing is missing if they keep nothing of it themselves."""
    return None if entry.state == ERASED else Kind.CODE_WITHOUT_PAYMENT


def _kind_of_erased(row: Subscription, entry: DigestEntry) -> Kind | None:
    """Of a subscription that is erased on at least one side: what is erased stays so."""
    if row.erased_at is None:
        return Kind.ERASED_THERE
    return None if entry.state == ERASED else Kind.ERASED_HERE


def _kind_of_code(row: Subscription, entry: DigestEntry) -> Kind | None:
    if entry.generation < row.code_generation:
        return Kind.REPLACEMENT_LOST
    same = entry.generation == row.code_generation and _digest(row) == entry.digest
    return None if same else Kind.CODE_DIFFERS


def _kind_of_terms(row: Subscription, entry: DigestEntry, horizon: datetime) -> Kind | None:
    if entry.version > row.terms_version:
        return Kind.TERMS_DIFFER
    # A version is a time in milliseconds, so what was changed lately may be in transit.
    is_old = row.terms_version <= horizon.timestamp() * 1000
    return Kind.TERMS_LOST if entry.version < row.terms_version and is_old else None


def _digest(row: Subscription) -> str:
    """The digest of our code; empty if there is none."""
    code = row.code_or_unreadable
    return "" if code is None else code_digest(row.id, code)
