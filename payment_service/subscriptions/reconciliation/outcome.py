"""How a run ends: what has come since it found its drift, and what that leaves."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta

from django.conf import settings
from django.db.models import Count, DateTimeField, Exists, ExpressionWrapper, OuterRef
from django.utils import timezone

from subscriptions.models import Drift, ReconciliationRun, Subscription

logger = logging.getLogger(__name__)

Kind, State = Drift.Kind, Drift.State
Runs = ReconciliationRun.State

NO_MATTER_ONCE_CANCELLED = (
    Kind.PAID_WITHOUT_CODE,
    Kind.CODE_LOST,
    Kind.CODE_DIFFERS,
    Kind.CANCELLATION_LOST,
)
"""Once it is cancelled, its code is of no use; and what was cancelled is cancelled again."""

ASKED_FOR = (State.REPAIRING, State.NEEDS_PERSON)
"""An answer that comes after we have given up is as good."""


def look_again(run: ReconciliationRun) -> None:
    """Note what our rows say by now: what came, what is there again, what is revoked."""
    now = timezone.now()
    ours = Subscription.objects.filter(id=OuterRef("subscription_id"))
    cancelled = run.drifts.filter(Exists(ours.filter(cancelled_at__isnull=False)))
    has_code = run.drifts.filter(Exists(ours.filter(access_code__isnull=False)))
    revoked = run.drifts.filter(Exists(ours.filter(code_revoked_at__isnull=False)))
    recorded = run.drifts.filter(Exists(ours))
    mended = (
        (has_code.filter(kind=Kind.PAID_WITHOUT_CODE), "its code has come"),
        (cancelled.filter(kind__in=NO_MATTER_ONCE_CANCELLED), "it is cancelled here"),
        (revoked.filter(kind=Kind.CANCELLED_BUT_VALID), "its code is revoked"),
    )
    for drifts, note in mended:
        asked_for = drifts.filter(state__in=ASKED_FOR)
        asked_for.update(state=State.REPAIRED, note=note, settled_at=now)
    # What was revoked long before it was found is what the student side has forgotten since.
    unsettled = timedelta(seconds=settings.RECONCILE_SETTLED_AFTER)
    since = ExpressionWrapper(OuterRef("found_at") - unsettled, DateTimeField())
    healed = (
        *(drifts for drifts, _ in mended[:2]),
        recorded.filter(kind=Kind.CODE_WITHOUT_PAYMENT),
        run.drifts.filter(
            Exists(ours.filter(code_revoked_at__gte=since)), kind=Kind.CANCELLED_BUT_VALID
        ),
    )
    for drifts in healed:
        drifts.filter(state=State.FOUND).update(state=State.HEALED, settled_at=now)


def conclude(run: ReconciliationRun) -> None:
    """Once all pages are compared, say how the run ends, or that repairs are under way.

    The caller holds the run's row.
    """
    if run.state in {Runs.COMPARING, Runs.UNANSWERED}:
        return
    look_again(run)
    found = counts(run)
    before = run.state
    if found.get(State.REPAIRING):
        run.state = Runs.REPAIRING
    elif found.get(State.FOUND) or found.get(State.NEEDS_PERSON):
        run.state = Runs.DRIFT
    else:
        run.state = Runs.REPAIRED if found.get(State.REPAIRED) else Runs.CLEAN
    if run.state != Runs.REPAIRING:
        run.ended_at = run.ended_at or timezone.now()
    run.save(update_fields=["state", "ended_at"])
    if run.state != before:
        _say(run, found)


def _say(run: ReconciliationRun, found: Mapping[str, int]) -> None:
    levels = {Runs.DRIFT: logging.ERROR, Runs.CLEAN: logging.INFO}
    how = ", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in found.items())
    logger.log(
        levels.get(Runs(run.state), logging.WARNING),
        "%s: %s: %s subscriptions compared%s",
        run,
        Runs(run.state).label,
        f"{run.compared:,}",
        f"; {how}; see manage.py reconcile show {run.id}" if how else "",
    )


def counts(run: ReconciliationRun) -> dict[str, int]:
    """How many subscriptions of the run are in which state."""
    rows = run.drifts.values_list("state").annotate(count=Count("id")).order_by("state")
    return dict(rows)
