"""Do both sides agree? A run compares them page by page, by events only, and keeps what it found.

A page that is lost on the way is asked for again; one that comes twice or late changes nothing,
since a run takes only the page that it is waiting for.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from admit_one.contract.envelope import Envelope
from admit_one.database import bulk
from admit_one.messaging import outbox
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from shared_contracts.events import (
    MOST_DIGESTS,
    AccessDigest,
    AccessDigestRequested,
    Position,
)

from subscriptions.models import Drift, ReconciliationRun, Subscription

from . import comparison, outcome, repairs
from .comparison import Found

logger = logging.getLogger(__name__)

PAUSE = timedelta(minutes=10)
"""How long an answer may take before its question is asked again."""

MOST_ASKS = 12
"""Asks for one page before a run ends as unanswered, after two hours."""

MOST_TRIES = 3
"""Tries of one repair before it is left to a person."""

Kind, State = Drift.Kind, Drift.State
Runs = ReconciliationRun.State
NAMED = ("subscription_id", "kind")


class NotSettled(ValueError):
    """The window ends too late, or before it begins: the text says what was expected."""


def settled_until() -> datetime:
    """Up to when each paid subscription must have its code; younger ones are on their way."""
    return timezone.now() - timedelta(seconds=settings.RECONCILE_SETTLED_AFTER)


@transaction.atomic
def start(
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    repair: bool = False,
    scheduled_for: date | None = None,
) -> ReconciliationRun:
    """Begin to compare what was paid from `since` until before `until`; events carry it on.

    By default the last `RECONCILE_DAYS`, up to what is settled. For a day that has its run, it is
    that one. Raises `NotSettled`.
    """
    latest = settled_until()
    until = until or latest
    since = since or until - timedelta(days=settings.RECONCILE_DAYS)
    if until > latest:
        raise NotSettled(
            f"expected a window that ends by {latest:%Y-%m-%d %H:%M:%S}Z at the latest"
        )
    if since >= until:
        raise NotSettled(
            f"expected a window that begins before its end, {until:%Y-%m-%d %H:%M:%S}Z"
        )
    window = {"since": since, "until": until, "repair": repair}
    if scheduled_for is None:
        run, new = ReconciliationRun.objects.create(**window), True
    else:
        run, new = ReconciliationRun.objects.get_or_create(
            scheduled_for=scheduled_for, defaults=window
        )
    if new:
        _ask(run)
    return run


def start_daily() -> None:
    """Begin the run of this day (UTC) if it is not there and there is something to compare."""
    today, until = timezone.now().date(), settled_until()
    paid = Subscription.objects.paid_between(until - timedelta(settings.RECONCILE_DAYS), until)
    if paid.exists() and not ReconciliationRun.objects.filter(scheduled_for=today).exists():
        start(until=until, scheduled_for=today)


def _ask(run: ReconciliationRun) -> None:
    run.asked += 1
    run.asked_at = timezone.now()
    run.save()
    asked = AccessDigestRequested(
        run_id=run.id,
        since=run.since,
        until=run.until,
        after=Position(occurred_at=run.after[0], subscription_id=run.after[1])
        if run.after
        else None,
        limit=MOST_DIGESTS,
    )
    outbox.publish(Envelope.of(asked))


def compare_pages(messages: Sequence[Envelope[AccessDigest]]) -> None:
    """Compare each page that its run waits for with our rows, and ask for the next one."""
    for message in messages:
        run = _waiting(message.data.run_id)
        if run is not None and run.after == comparison.place(message.data.after):
            _compare(run, message)


def _waiting(run_id: UUID) -> ReconciliationRun | None:
    comparing = ReconciliationRun.objects.filter(id=run_id, state=Runs.COMPARING)
    return comparing.select_for_update().first()


def _compare(run: ReconciliationRun, message: Envelope[AccessDigest]) -> None:
    settled = message.time - timedelta(seconds=settings.RECONCILE_SETTLED_AFTER)
    page = comparison.compare(run, message.data, settled=settled)
    new = _note(run, page.found)
    run.compared += page.ours + new[Kind.CODE_WITHOUT_PAYMENT]
    if page.end is None:
        run.state = Runs.REPAIRING
        run.save()
        outcome.conclude(run)
    else:
        run.after_paid_at, run.after_id = page.end
        run.asked = 0
        _ask(run)


def _note(run: ReconciliationRun, found: Sequence[Found]) -> Counter[str]:
    """Write down what is new of it, and begin its repair; returns how many of each kind."""
    now = timezone.now()
    rows = [
        {
            "run_id": run.id,
            **one._asdict(),
            "state": State.REPAIRING if run.repair else State.FOUND,
            "tries": int(run.repair),
            "tried_at": now if run.repair else None,
            "found_at": now,
        }
        for one in sorted(found)
    ]
    new = dict(bulk.insert_new(Drift, rows, conflict=repairs.KEYS, returning=NAMED))
    if run.repair:
        repairs.begin(run, new)
    return Counter(new.values())


def go_on() -> None:
    """Look at each run that is not over: ask again for what was lost, and end what is done."""
    unfinished = ReconciliationRun.objects.filter(ended_at__isnull=True)
    for run_id in list(unfinished.values_list("id", flat=True)):
        with transaction.atomic():
            run = unfinished.select_for_update(skip_locked=True).filter(id=run_id).first()
            if run is None:  # somebody else has just looked at it
                continue
            if run.state == Runs.REPAIRING:
                repairs.repeat(run, pause=PAUSE, at_most=MOST_TRIES, batch=MOST_DIGESTS)
                outcome.conclude(run)
            elif run.state == Runs.COMPARING and run.asked_at <= timezone.now() - PAUSE:
                _ask_again(run)


def _ask_again(run: ReconciliationRun) -> None:
    if run.asked < MOST_ASKS:
        _ask(run)
        return
    run.state, run.ended_at = Runs.UNANSWERED, timezone.now()
    run.save()
    logger.error("%s: %s within %s", run, Runs.UNANSWERED.label, MOST_ASKS * PAUSE)


@transaction.atomic
def look(run_id: UUID) -> ReconciliationRun | None:
    """The run as it stands now, looked at again against our rows; none if there is none."""
    run = ReconciliationRun.objects.select_for_update().filter(id=run_id).first()
    if run is not None:
        outcome.conclude(run)
    return run
