"""Which runs of the payment side are answered here, and what each may ask about.

The first request of a run fixes its window. A reconciliation may have to look back as far as any
backup goes, so a window may be long; but it cannot end in the future, and no request of the run
may leave it. Grants are reported only for what was paid in it (see `grants`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from admit_one.database import bulk
from admit_one.database.clock import now_plus
from admit_one.logs import EventLogger
from admit_one.messaging import Envelope, Rejected
from admit_one.messaging.their_clock import believed
from shared_contracts.events import AccessChecksumRequested, AccessDigestRequested

from access_codes import metrics
from access_codes.models import AnsweredRun, HourOfGrants

logger = EventLogger(__name__)

Decision = AnsweredRun.Decision

Windowed = TypeVar("Windowed", AccessChecksumRequested, AccessDigestRequested)

NO_MORE = (Decision.REFUSED, Decision.FORGOTTEN)
"""Runs that get no more grants; those that wait for them are dropped."""

KEPT_DAYS = 45
"""Days after which a run is forgotten, and what still waits for it: longer than any repair."""


def admit(
    messages: Sequence[Envelope[Windowed]],
) -> tuple[list[Envelope[Windowed]], list[Rejected]]:
    """The requests to answer, and those to reject because of their window.

    Each run that is new here is logged and counted, once.
    """
    future = {m.id for m in messages if believed(m.data.until) < m.data.until}
    runs = _open(message for message in messages if message.id not in future)
    admitted, rejected = [], []
    for message in messages:
        if message.id in future:
            reason = f"the window of run {message.subject} ends in the future"
        elif not _covers(runs[message.data.run_id], message.data):
            reason = f"run {message.subject} began with another window"
        else:
            admitted.append(message)
            continue
        rejected.append(Rejected(message, reason))
    return admitted, rejected


def _covers(run: AnsweredRun, asked: AccessChecksumRequested | AccessDigestRequested) -> bool:
    return run.since <= asked.since and asked.until <= run.until


def _open(messages: Iterable[Envelope[Windowed]]) -> dict[UUID, AnsweredRun]:
    """The runs of these requests; those that are new here begin."""
    windows: dict[UUID, tuple[datetime, datetime]] = {}
    for message in messages:
        windows.setdefault(message.data.run_id, (message.data.since, message.data.until))
    rows = [
        {"run_id": run_id, "since": since, "until": until}
        for run_id, (since, until) in sorted(windows.items())
    ]
    new = bulk.insert_new(AnsweredRun, rows, conflict=["run_id"], returning=["run_id"])
    for (run_id,) in new:
        since, until = windows[run_id]
        metrics.RUNS.inc()
        logger.warning(
            "run_answered",
            "the payment side compares what was paid from {since:%Y-%m-%d %H:%M:%S}Z until "
            "before {until:%Y-%m-%d %H:%M:%S}Z: run {run_id}",
            since=since,
            until=until,
            run_id=run_id,
        )
    return AnsweredRun.objects.in_bulk(list(windows))


def why_not(run: AnsweredRun | None, paid: Iterable[datetime]) -> str:
    """Why this run gets no grants of what was paid then; empty if it may."""
    if run is None:
        return "this run has compared nothing here"
    if run.decision in NO_MORE:
        return f"run {run.run_id} is {run.decision}: {Decision(run.decision).label}"
    if not all(run.since <= moment < run.until for moment in paid):
        return f"run {run.run_id} has not compared the time when this subscription was paid"
    return ""


def forget_old() -> None:
    """Delete the runs that are older than `KEPT_DAYS`.

    If grants still wait for one, they are dropped first, in batches (see `reporting`).
    """
    old = AnsweredRun.objects.filter(answered_at__lt=now_plus(-KEPT_DAYS * 86_400.0))
    unfinished = old.waiting().filter(decision="")
    for run in unfinished:
        logger.warning(
            "grants_forgotten",
            "{run} is more than {days} days old: the grants that wait for it are dropped",
            run=run,
            days=KEPT_DAYS,
        )
    unfinished.update(decision=Decision.FORGOTTEN)
    old.exclude(pk__in=old.waiting().values("pk")).delete()
    HourOfGrants.objects.filter(hour__lt=now_plus(-KEPT_DAYS * 86_400.0)).delete()
