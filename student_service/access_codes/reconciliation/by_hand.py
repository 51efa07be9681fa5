"""Operators lift the cap for a run, or refuse the run."""

from __future__ import annotations

from uuid import UUID

from admit_one.acts.models import Act
from admit_one.logs import EventLogger
from admit_one.messaging import wake
from django.db import transaction

from access_codes.models import AnsweredRun

from .grants import REPORT_TASK

logger = EventLogger(__name__)

Decision = AnsweredRun.Decision

ACTIONS = {"lift": Decision.LIFTED, "refuse": Decision.REFUSED}
"""What an operator may do about a run, and what it then is."""


class NotPossible(Exception):
    """The run is not known here, or the same was decided before."""


def check(run_id: UUID, action: str, *, lock: bool = False) -> AnsweredRun:
    """The run, if this can be decided about it. Raises `NotPossible`."""
    runs = AnsweredRun.objects.select_for_update() if lock else AnsweredRun.objects.all()
    run = runs.filter(run_id=run_id).first()
    if run is None:
        raise NotPossible(f"no run {run_id} has compared anything here")
    if run.decision in {ACTIONS[action], Decision.FORGOTTEN}:
        raise NotPossible(f"run {run_id} is {run.decision} already")
    return run


@transaction.atomic
def decide(run_id: UUID, action: str, *, by: str | None, reason: str) -> None:
    """Lift the cap for a run, or refuse it. `by` defaults to the login name.

    Its grants that wait are then reported, or dropped, at once. Raises `NotPossible`.
    """
    run = check(run_id, action, lock=True)
    facts = {
        "since": run.since.isoformat(),
        "until": run.until.isoformat(),
        "waiting": run.waiting.count(),
        "decision": run.decision,
    }
    act = Act.draft("grants", action, by=by, reason=reason, target=run_id, facts=facts)
    act.result = "done"
    act.save()
    run.decision = ACTIONS[action]
    run.save(update_fields=["decision"])
    logger.warning(
        "grants_decided_by_hand",
        "{run} is {decision} by {by}: {reason}",
        run=run,
        decision=run.decision,
        by=act.by,
        reason=act.reason,
    )
    wake.task(REPORT_TASK)
