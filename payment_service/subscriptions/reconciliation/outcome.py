"""How a run ends: closes the drift that is resolved by now, and decides the state of the run."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from admit_one.logs import EventLogger
from admit_one.messaging.tombstones import Tombstone
from django.db.models import (
    Count,
    DateTimeField,
    Exists,
    ExpressionWrapper,
    F,
    OuterRef,
    QuerySet,
)
from django.utils import timezone

from subscriptions.models import Drift, ReconciliationRun, Subscription

from .window import grace

logger = EventLogger(__name__)

Kind, State = Drift.Kind, Drift.State
Runs = ReconciliationRun.State

RESOLVED_BY_CANCELLING = (
    Kind.PAID_WITHOUT_CODE,
    Kind.CODE_LOST,
    Kind.CODE_DIFFERS,
    Kind.CANCELLATION_LOST,
    Kind.REVOCATION_LOST,
    Kind.REPLACEMENT_LOST,
    Kind.TERMS_LOST,
    Kind.TERMS_DIFFER,
)
"""The code of a cancelled subscription does not matter."""

REQUESTED = (State.REPAIRING, State.NEEDS_PERSON)
"""Drift whose repair was requested: an answer may still arrive after the last try."""


def close_resolved(run: ReconciliationRun) -> None:
    """Close the drift that our rows no longer show."""
    code_arrived = _drift(run, Kind.PAID_WITHOUT_CODE, access_code__isnull=False)
    recorded = _drift(run, Kind.CODE_WITHOUT_PAYMENT)
    cancelled = _drift(run, *RESOLVED_BY_CANCELLING, cancelled_at__isnull=False)
    revoked = _drift(run, Kind.CANCELLED_BUT_VALID, code_revoked_at__isnull=False)
    # If it was revoked long before the drift was found, the student side has lost the revocation.
    recently = ExpressionWrapper(OuterRef("found_at") - grace(), DateTimeField())
    revoked_recently = _drift(run, Kind.CANCELLED_BUT_VALID, code_revoked_at__gte=recently)
    known_as_revoked = _drift(run, Kind.CANCELLATION_LOST, code_revoked_at__isnull=False)
    applied = _drift(run, Kind.TERMS_LOST, terms_applied__gte=F("terms_version"))
    erased = _drift(run, Kind.ERASED_THERE, erased_at__isnull=False)
    erased_again = _erased_again(run)
    for drifts, note in (
        (code_arrived, "its code has arrived"),
        (applied, "its terms are applied"),
        (cancelled, "it is cancelled here"),
        (revoked, "its code is revoked"),
        (erased, "it is erased here"),
        (erased_again, "it is erased there"),
    ):
        _close(drifts.filter(state__in=REQUESTED), State.REPAIRED, note)
    healed = (code_arrived, recorded, cancelled, revoked_recently, known_as_revoked)
    for drifts in (*healed, erased, erased_again):
        _close(drifts.filter(state=State.OPEN), State.HEALED)


def _erased_again(run: ReconciliationRun) -> QuerySet[Drift]:
    """Drift of subscriptions that the student side has erased since it was found."""
    drifts = run.drifts.filter(kind=Kind.ERASED_HERE, closed_at__isnull=True)
    found_at = {
        str(d.subscription_id): d.found_at for d in drifts.only("subscription_id", "found_at")
    }
    stones = Tombstone.objects.filter(subject__in=found_at, answered_at__isnull=False)
    erased = [
        stone.subject
        for stone in stones
        if stone.answered_at and stone.answered_at >= found_at[stone.subject]
    ]
    return drifts.filter(subscription_id__in=erased)


def _drift(run: ReconciliationRun, *kinds: Drift.Kind, **row: object) -> QuerySet[Drift]:
    """Drift of these kinds whose subscription has a row with these values."""
    ours = Subscription.objects.filter(id=OuterRef("subscription_id"), **row)
    return run.drifts.filter(Exists(ours), kind__in=kinds)


def _close(drifts: QuerySet[Drift], state: Drift.State, note: str = "") -> None:
    drifts.update(state=state, note=note, closed_at=timezone.now())


def conclude(run: ReconciliationRun) -> None:
    """Decide the state of a run whose pages are all compared. The caller has locked its row."""
    if run.state in {Runs.COMPARING, Runs.UNANSWERED}:
        return
    close_resolved(run)
    counts, before = _counts(run), run.state
    run.state = _state(counts)
    if run.state != Runs.REPAIRING:
        run.ended_at = run.ended_at or timezone.now()
    run.save(update_fields=["state", "ended_at"])
    if run.state != before:
        _log(run, counts)


def _counts(run: ReconciliationRun) -> dict[str, int]:
    rows = run.drifts.values_list("state").annotate(count=Count("id")).order_by("state")
    return dict(rows)


def _state(counts: Mapping[str, int]) -> Runs:
    if counts.get(State.REPAIRING):
        return Runs.REPAIRING
    if counts.get(State.OPEN) or counts.get(State.NEEDS_PERSON):
        return Runs.DRIFT
    return Runs.REPAIRED if counts.get(State.REPAIRED) else Runs.CLEAN


def _log(run: ReconciliationRun, counts: Mapping[str, int]) -> None:
    levels = {Runs.DRIFT: logging.ERROR, Runs.CLEAN: logging.INFO}
    how = ", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in counts.items())
    more = "; {differences}; see manage.py reconcile show {run_id}" if how else ""
    logger.log(
        levels.get(Runs(run.state), logging.WARNING),
        "reconciliation_ended",
        "{run}: {ending}: {compared:,} subscriptions compared" + more,
        run=run,
        ending=Runs(run.state).label,
        compared=run.compared,
        differences=how or None,
        run_id=run.id,
    )
