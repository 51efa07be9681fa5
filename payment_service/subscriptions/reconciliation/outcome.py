"""How a run ends: what has come since it noted its drift, and what that leaves."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from admit_one.logs import EventLogger
from django.db.models import Count, DateTimeField, Exists, ExpressionWrapper, OuterRef, QuerySet
from django.utils import timezone

from subscriptions.models import Drift, ReconciliationRun, Subscription

from .window import grace

logger = EventLogger(__name__)

Kind, State = Drift.Kind, Drift.State
Runs = ReconciliationRun.State

NO_MATTER_ONCE_CANCELLED = (
    Kind.PAID_WITHOUT_CODE,
    Kind.CODE_LOST,
    Kind.CODE_DIFFERS,
    Kind.CANCELLATION_LOST,
)
"""Once it is cancelled, its code is of no use; and what was cancelled is cancelled again."""

REQUESTED = (State.REPAIRING, State.NEEDS_PERSON)
"""Drift whose repair was requested: an answer that comes after we have given up is as good."""


def look_again(run: ReconciliationRun) -> None:
    """Close what our rows agree on by now: what came, what is there again, what is revoked."""
    now = timezone.now()
    for drifts, note in _repaired(run):
        requested = drifts.filter(state__in=REQUESTED)
        requested.update(state=State.REPAIRED, note=note, closed_at=now)
    for drifts in _healed(run):
        drifts.filter(state=State.OPEN).update(state=State.HEALED, closed_at=now)


def _repaired(run: ReconciliationRun) -> Iterator[tuple[QuerySet[Drift], str]]:
    """Drift on which our rows agree now, and why."""
    yield (
        _whose_row(run, access_code__isnull=False).filter(kind=Kind.PAID_WITHOUT_CODE),
        "its code has come",
    )
    yield (
        _whose_row(run, cancelled_at__isnull=False).filter(kind__in=NO_MATTER_ONCE_CANCELLED),
        "it is cancelled here",
    )
    yield (
        _whose_row(run, code_revoked_at__isnull=False).filter(kind=Kind.CANCELLED_BUT_VALID),
        "its code is revoked",
    )


def _healed(run: ReconciliationRun) -> Iterator[QuerySet[Drift]]:
    """Drift on which our rows agree although no repair was requested."""
    came, cancelled, _ = (drifts for drifts, _ in _repaired(run))
    yield came
    yield cancelled
    yield _whose_row(run).filter(kind=Kind.CODE_WITHOUT_PAYMENT)
    # What was revoked long before it was found is what the student side has forgotten since.
    lately = ExpressionWrapper(OuterRef("found_at") - grace(), DateTimeField())
    yield _whose_row(run, code_revoked_at__gte=lately).filter(kind=Kind.CANCELLED_BUT_VALID)


def _whose_row(run: ReconciliationRun, **conditions: object) -> QuerySet[Drift]:
    ours = Subscription.objects.filter(id=OuterRef("subscription_id"), **conditions)
    return run.drifts.filter(Exists(ours))


def conclude(run: ReconciliationRun) -> None:
    """Once all pages are compared, decide how the run ends, or that repairs are under way.

    The caller holds the run's row.
    """
    if run.state in {Runs.COMPARING, Runs.UNANSWERED}:
        return
    look_again(run)
    counts, before = _counts(run), run.state
    run.state = _state(counts)
    if run.state != Runs.REPAIRING:
        run.ended_at = run.ended_at or timezone.now()
    run.save(update_fields=["state", "ended_at"])
    if run.state != before:
        _log(run, counts)


def _counts(run: ReconciliationRun) -> dict[str, int]:
    """How many subscriptions of the run are in which state."""
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
