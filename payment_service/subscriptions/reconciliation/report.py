"""Describes a run to operators."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.utils import timezone

from subscriptions.models import Drift, ReconciliationRun, Subscription

from .grants import RECOVERED
from .repairs import ENDS_WITH_REPORT
from .runs import PAUSE

MAX_LINES = 100
SHORT_DIGEST = 8


def headline(run: ReconciliationRun) -> str:
    how = "repairs" if run.repair else "compares"
    drift = run.drifts.exclude(state=Drift.State.HEALED).count()
    return (
        f"{run.id}  {_time(run.started_at)}  {how:8}  {run.state:10}  "
        f"{run.compared:>9,} compared  {drift:>6,} differ"
    )


def report(run: ReconciliationRun) -> Iterator[str]:
    State = ReconciliationRun.State  # noqa: N806
    yield f"run         {run.id}"
    yield f"paid        from {_time(run.since)} until before {_time(run.until)}"
    yield f"compared    {run.compared:,} subscriptions"
    yield f"result      {State(run.state).label}"
    yield from _drift(run)
    yield from _waits(run)
    if run.ended_at is None:
        yield f"next        it continues in the background; manage.py reconcile show {run.id}"
    elif run.state == State.UNANSWERED:
        yield "next        check the student service's consumer and relay, then run it again"
    elif run.state == State.DRIFT and not run.repair:
        window = f"--from {run.since.isoformat()} --to {run.until.isoformat()}"
        yield f"next        manage.py reconcile --repair {window}"
    elif run.repair and Subscription.objects.of(RECOVERED).exists():
        yield "next        manage.py reconcile adopt --client NAME, for restored subscriptions"


def _drift(run: ReconciliationRun) -> Iterator[str]:
    differing = run.drifts.exclude(state=Drift.State.HEALED)
    name = "differ"
    for kind in Drift.Kind:
        of_kind = differing.filter(kind=kind)
        states = [(state, of_kind.filter(state=state).count()) for state in Drift.State]
        if how := ", ".join(f"{count:,} {_words(state)}" for state, count in states if count):
            yield f"{name:12}{kind.label}: {how}"
            name = ""
    for drift in differing.order_by("id")[:MAX_LINES]:
        yield f"  {drift.subscription_id}  {drift.kind:20}  {_words(drift.state):12}  {_why(drift)}"
    if (more := differing.count() - MAX_LINES) > 0:
        yield f"  and {more:,} more"


def _waits(run: ReconciliationRun) -> Iterator[str]:
    """How many repairs wait because the student side reports only so many in an hour."""
    waiting = run.drifts.filter(state=Drift.State.REPAIRING, kind__in=ENDS_WITH_REPORT).count()
    until = run.grants_wait_until
    if waiting and until is not None and timezone.now() < until + PAUSE:
        yield f"waits       {waiting:,} for the student side's GRANTS_AN_HOUR, until {_time(until)}"
        yield f"            to lift it there: manage.py grants lift {run.id} --reason …"


def _why(drift: Drift) -> str:
    """The digests of both codes, and the note."""
    here, there = (digest[:SHORT_DIGEST] or "none" for digest in (drift.ours, drift.theirs))
    return f"code {here} here, {there} there" + (f"; {drift.note}" if drift.note else "")


def _words(state: str) -> str:
    return str(state).replace("_", " ")


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"
