"""Updates the rows after attempts: delivered, due again later, given up, or the endpoint disabled.

An endpoint that fails is left alone for growing pauses, whatever waits for it, and disabled when
nothing has succeeded for three days.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Q

from admit_one.database import clock
from admit_one.logs import EventLogger
from admit_one.processes import next_delay

from . import metrics
from .known import listeners
from .models import Delivery, Endpoint
from .outcome import GONE, Outcome

logger = EventLogger(__name__)

State = Delivery.State

TRIED_FOR = timedelta(days=3)
"""From when a delivery was written, or sent again by hand, or its endpoint was enabled again; and
how long an endpoint may fail."""

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 6 * 3600.0
"""Seconds between attempts of one delivery. Doubling, about 24 attempts fill three days."""

FIRST_REST, LONGEST_REST = 1.0, 300.0
"""Seconds for which an endpoint that fails gets nothing: once it is back, it waits five minutes at
most, and it costs a worker's thread ten seconds in these."""

LONGEST_ASKED = 3_600
"""Seconds of a `Retry-After` that are respected."""


class Ended(NamedTuple):
    """An attempt that has ended."""

    delivery: Delivery
    outcome: Outcome


def finish(ended: Sequence[Ended]) -> None:
    """Record how these attempts ended, in one transaction.

    One that another worker has taken over meanwhile changes its delivery no more, nor does one
    whose delivery somebody wants to be sent again since.
    """
    with transaction.atomic():
        now = clock.now()
        for endpoint in _locked(ended):
            outcomes = [e.outcome for e in ended if e.delivery.endpoint_id == endpoint.pk]
            _note(endpoint, outcomes, now)
        states = Counter(_record(each, now) for each in ended)
        transaction.on_commit(partial(metrics.count, states))


def _record(ended: Ended, now: datetime) -> str:
    """Write the delivery; returns its state, or what kept it from being written."""
    delivery, outcome = ended
    claimed = Delivery.objects.filter(
        pk=delivery.pk,
        attempts=delivery.attempts,
        tries=delivery.tries,  # unless it was sent again by hand meanwhile
        state=State.PENDING,
    )
    known: dict[str, Any] = {"last_status": outcome.status, "last_error": outcome.error[:200]}
    if outcome.is_success:
        state, known = State.DELIVERED, {**known, "finished_at": now, "next_attempt_at": None}
    elif _is_old(delivery, now) and outcome.status != GONE:
        state, known = State.FAILED, {**known, "finished_at": now, "next_attempt_at": None}
    else:
        state, known = State.PENDING, {**known, "next_attempt_at": clock.now_plus(_pause(ended))}
    if not outcome.is_success:
        logger.warning(
            "webhook_not_delivered",
            "webhook {webhook} to endpoint {endpoint}, attempt {attempt}: {error}",
            webhook=str(delivery.pk),
            endpoint=str(delivery.endpoint_id),
            attempt=delivery.attempts,
            error=outcome.error,
        )
    return str(state) if claimed.update(state=state, **known) else "taken_over"


def _is_old(delivery: Delivery, now: datetime) -> bool:
    """Whether it was tried for long enough. While its endpoint was disabled, nobody tried it."""
    since = max(delivery.since, delivery.endpoint.enabled_at or delivery.since)
    return now - since >= TRIED_FOR


def _pause(ended: Ended) -> float:
    pause = next_delay(ended.delivery.tries, first=FIRST_PAUSE, most=LONGEST_PAUSE)
    return max(pause, _asked_for(ended.outcome))


def _asked_for(outcome: Outcome) -> float:
    return float(min(outcome.retry_after, LONGEST_ASKED))


def _locked(ended: Sequence[Ended]) -> list[Endpoint]:
    """The endpoints that have failed, and those that work again; of most nothing changes.

    All at once, and in one order: two workers would wait for each other otherwise.
    """
    worked = {each.delivery.endpoint_id for each in ended if each.outcome.is_success}
    failed = {each.delivery.endpoint_id for each in ended if each.outcome.is_theirs}
    work_again = Q(pk__in=worked, failing_since__isnull=False)
    rows = Endpoint.objects.filter(Q(pk__in=failed) | work_again, disabled_at__isnull=True)
    return list(rows.order_by("pk").select_for_update())


def _note(endpoint: Endpoint, outcomes: Sequence[Outcome], now: datetime) -> None:
    if any(outcome.is_success for outcome in outcomes):
        endpoint.failing_since, endpoint.failures, endpoint.resume_at = None, 0, None
    if failed := [outcome for outcome in outcomes if outcome.is_theirs]:
        _note_failures(endpoint, failed, now)
    endpoint.save(update_fields=["failing_since", "failures", "resume_at"])


def _note_failures(endpoint: Endpoint, failed: Sequence[Outcome], now: datetime) -> None:
    endpoint.failing_since = endpoint.failing_since or now
    if endpoint.resume_at is None or endpoint.resume_at <= now:  # those at once are one failure
        endpoint.failures += 1
        rest = next_delay(endpoint.failures, first=FIRST_REST, most=LONGEST_REST)
        rest = max(rest, *map(_asked_for, failed))
        endpoint.resume_at = now + timedelta(seconds=rest)
    if any(outcome.status == GONE for outcome in failed):
        disable(endpoint, "it answered 410: it wants no more webhooks", now)
    elif now - endpoint.failing_since >= TRIED_FOR:
        disable(endpoint, f"nothing was delivered for {TRIED_FOR.days} days", now)


def disable(endpoint: Endpoint, reason: str, now: datetime) -> None:
    """Send nothing to it any more, loudly. What waits for it is kept."""
    endpoint.disabled_at, endpoint.disabled_reason = now, reason[:200]
    endpoint.save(update_fields=["disabled_at", "disabled_reason"])
    transaction.on_commit(listeners.forget)
    transaction.on_commit(metrics.DISABLED.inc)
    logger.error(
        "webhook_endpoint_disabled",
        "webhook endpoint {endpoint} of {client} is disabled: {reason}",
        endpoint=str(endpoint.pk),
        client=endpoint.client,
        reason=reason,
    )
