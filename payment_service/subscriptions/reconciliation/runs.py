"""Starts runs, requests their pages, and continues those that have stalled.

One checksum of each page comes first (see `checksums`), and the entries only of pages that differ
(see `comparison`). A lost page is requested again. A duplicate or late page changes nothing, since
a run accepts only the page that it is waiting for.

Between two pages a run pauses for as long as the first took, so that at least half of the time goes
to subscriptions. A worker requests what is due then (`request_due`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from admit_one.contract import Event
from admit_one.logs import EventLogger
from admit_one.messaging import Envelope, publish, wake
from django.db import transaction
from django.utils import timezone
from shared_contracts.events import (
    MAX_CHECKED,
    MAX_DIGESTS,
    AccessChecksumRequested,
    AccessDigestRequested,
    Position,
)

from subscriptions.models import ReconciliationRun, Subscription

from . import outcome, repairs
from .window import window

logger = EventLogger(__name__)

TASK = "payment_service.reconcile"

LONGEST_BREAK = timedelta(seconds=1)
"""Between two pages, however long the first took."""

MOVING = timedelta(seconds=2)
"""A run that is not answered for so long is left to the next sweep, or to its late answer."""

LATE = MOVING / 2
"""An answer after so long wakes a worker: the one that looked at the run may leave just now."""

LOOK_EVERY = 0.02
"""Seconds between two looks whether a page was answered."""

PAUSE = timedelta(minutes=10)
"""How long an answer may take before it is requested again."""

MAX_REQUESTS = 12
"""Requests of one page before a run ends as unanswered, after two hours."""

State = ReconciliationRun.State


@transaction.atomic
def start(
    *, since: datetime | None = None, until: datetime | None = None, repair: bool = False
) -> ReconciliationRun:
    """Start to compare what was paid from `since` until before `until`.

    The default is the last `RECONCILE_DAYS`, up to `RECONCILE_AFTER` ago. Raises `WrongWindow`.
    """
    compared = window(since, until)
    run = ReconciliationRun.objects.create(**compared._asdict(), repair=repair)
    request_page(run)
    wake.task(TASK)
    return run


@transaction.atomic
def start_daily() -> None:
    """Start the run of this day (UTC), unless it exists or there is nothing to compare."""
    compared = window(None, None)
    if not Subscription.objects.paid_between(*compared).exists():
        return
    run, is_new = ReconciliationRun.objects.get_or_create(
        scheduled_for=timezone.now().date(), defaults=compared._asdict()
    )
    if is_new:
        request_page(run)


def request_page(run: ReconciliationRun) -> None:
    """Request a checksum of the next page of a run. The caller has locked its row."""
    if run.by_entry:
        request_entries(run)
        return
    _request(
        run,
        AccessChecksumRequested(
            run_id=run.id, since=run.since, until=run.until, after=run.after, limit=MAX_CHECKED
        ),
    )


def request_entries(run: ReconciliationRun) -> None:
    """Request the next page of a run entry by entry. The caller has locked its row."""
    _request(
        run,
        AccessDigestRequested(
            run_id=run.id, since=run.since, until=run.until, after=run.after, limit=MAX_DIGESTS
        ),
    )


def _request(run: ReconciliationRun, page: Event) -> None:
    run.requests += 1
    run.requested_at = timezone.now()
    run.save()
    publish(Envelope.of(page))


def lock_comparing(run_id: UUID, after: Position | None) -> ReconciliationRun | None:
    """The run, locked, if it is waiting for the page that starts after this position."""
    comparing = ReconciliationRun.objects.filter(id=run_id, state=State.COMPARING)
    run = comparing.select_for_update().first()
    if run is None or run.after != after:
        return None
    if timezone.now() - run.requested_at > LATE:
        wake.task(TASK)
    return run


def advance(run: ReconciliationRun, end: Position | None) -> None:
    """Let the page after `end` be requested after a break, or conclude the run if there is none."""
    if end is None:
        run.state = State.REPAIRING
        run.save()
        outcome.conclude(run)
        return
    now = timezone.now()
    took = now - run.requested_at
    run.after_paid_at, run.after_id = end.occurred_at, end.subscription_id
    run.requests, run.requested_at = 0, now + min(took, LONGEST_BREAK)
    run.save()


def request_due() -> float | None:
    """Request the pages that are due; returns the seconds until the next look.

    None if no run is moving: then the next sweep is soon enough.
    """
    now = timezone.now()
    moving = ReconciliationRun.objects.filter(
        ended_at__isnull=True,
        state=State.COMPARING,
        requested_at__gt=now - MOVING,
        requested_at__lt=now + MOVING,
    )
    waits = []
    for run_id, requests, at in list(moving.values_list("id", "requests", "requested_at")):
        left = _left_of_break(at, now)
        if requests == 0 and not left:
            _continue(run_id)
        waits.append(left.total_seconds() if requests == 0 and left else LOOK_EVERY)
    return min(waits, default=None)


def _left_of_break(ends: datetime, now: datetime) -> timedelta:
    """None of one that ends further ahead than any lasts: a clock was set back, or differs."""
    left = ends - now
    return left if timedelta(0) < left <= LONGEST_BREAK else timedelta(0)


def continue_unfinished() -> None:
    """Continue each unfinished run: request lost answers again, and conclude what is complete."""
    unfinished = ReconciliationRun.objects.filter(ended_at__isnull=True)
    for run_id in list(unfinished.values_list("id", flat=True)):
        _continue(run_id)


@transaction.atomic
def _continue(run_id: UUID) -> None:
    unfinished = ReconciliationRun.objects.filter(ended_at__isnull=True, id=run_id)
    run = unfinished.select_for_update(skip_locked=True).first()
    if run is None:
        return  # it has ended, or another worker has locked it
    if run.state == State.REPAIRING:
        repairs.repeat(run, pause=PAUSE, batch=MAX_DIGESTS)
        outcome.conclude(run)
    elif run.state == State.COMPARING:
        _continue_comparing(run)


def _continue_comparing(run: ReconciliationRun) -> None:
    now = timezone.now()
    if run.requests == 0:
        if not _left_of_break(run.requested_at, now):
            request_page(run)
    elif run.requested_at <= now - PAUSE:
        if run.requests < MAX_REQUESTS:
            # A student side that does not know checksums yet answers digests.
            run.by_entry = True
            request_page(run)
        else:
            _give_up(run)


def _give_up(run: ReconciliationRun) -> None:
    run.state, run.ended_at = State.UNANSWERED, timezone.now()
    run.save()
    logger.error(
        "reconciliation_unanswered",
        "{run}: {ending} within {patience}",
        run=run,
        ending=State.UNANSWERED.label,
        patience=MAX_REQUESTS * PAUSE,
    )


@transaction.atomic
def refresh(run_id: UUID) -> ReconciliationRun | None:
    """The run, brought up to date with our rows; none if it does not exist."""
    run = ReconciliationRun.objects.select_for_update().filter(id=run_id).first()
    if run is not None:
        outcome.conclude(run)
    return run
