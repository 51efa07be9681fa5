"""Runs from their start to their end: each requests page after page, and keeps what it finds.

A page that is lost on the way is requested again; one that comes twice or late changes nothing,
since a run takes only the page that it waits for (see `pages`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from admit_one.contract import Envelope
from admit_one.logs import EventLogger
from admit_one.messaging import publish
from django.db import transaction
from django.utils import timezone
from shared_contracts.events import MOST_DIGESTS, AccessDigestRequested, Position

from subscriptions.models import ReconciliationRun, Subscription

from . import outcome, repairs
from .window import window

logger = EventLogger(__name__)

PAUSE = timedelta(minutes=10)
"""How long an answer may take before it is requested again."""

MOST_REQUESTS = 12
"""Requests of one page before a run ends as unanswered, after two hours."""

State = ReconciliationRun.State


@transaction.atomic
def start(
    *, since: datetime | None = None, until: datetime | None = None, repair: bool = False
) -> ReconciliationRun:
    """Begin to compare what was paid from `since` until before `until`; events carry it on.

    By default the last `RECONCILE_DAYS`, but for the last `RECONCILE_AFTER`. Raises `WrongWindow`.
    """
    compared = window(since, until)
    run = ReconciliationRun.objects.create(**compared._asdict(), repair=repair)
    request_page(run)
    return run


@transaction.atomic
def start_daily() -> None:
    """Begin the run of this day (UTC) if it is not there and there is something to compare."""
    compared = window(None, None)
    if not Subscription.objects.paid_between(*compared).exists():
        return
    run, is_new = ReconciliationRun.objects.get_or_create(
        scheduled_for=timezone.now().date(), defaults=compared._asdict()
    )
    if is_new:
        request_page(run)


def request_page(run: ReconciliationRun) -> None:
    """Request the page that begins where the run has come to. The caller holds the run's row."""
    run.requests += 1
    run.requested_at = timezone.now()
    run.save()
    place = run.after and Position(occurred_at=run.after[0], subscription_id=run.after[1])
    publish(
        Envelope.of(
            AccessDigestRequested(
                run_id=run.id, since=run.since, until=run.until, after=place, limit=MOST_DIGESTS
            )
        )
    )


def carry_on() -> None:
    """Look at each run that is not over: request again what was lost, and end what is done."""
    unfinished = ReconciliationRun.objects.filter(ended_at__isnull=True)
    for run_id in list(unfinished.values_list("id", flat=True)):
        with transaction.atomic():
            run = unfinished.select_for_update(skip_locked=True).filter(id=run_id).first()
            if run is not None:  # else another worker has it
                _carry_on(run)


def _carry_on(run: ReconciliationRun) -> None:
    if run.state == State.REPAIRING:
        repairs.repeat(run, pause=PAUSE, batch=MOST_DIGESTS)
        outcome.conclude(run)
    elif run.state == State.COMPARING and run.requested_at <= timezone.now() - PAUSE:
        if run.requests < MOST_REQUESTS:
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
        patience=MOST_REQUESTS * PAUSE,
    )


@transaction.atomic
def look(run_id: UUID) -> ReconciliationRun | None:
    """The run as it stands now, compared again with our rows; none if there is none."""
    run = ReconciliationRun.objects.select_for_update().filter(id=run_id).first()
    if run is not None:
        outcome.conclude(run)
    return run
