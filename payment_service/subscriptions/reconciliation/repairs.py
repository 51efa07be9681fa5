"""What repairs drift. Each repair may be done twice, and has worked once both sides agree.

paid without code       request the code again: the answer is the one that is there, or a new one
code lost               send the code to the student side, which keeps it
code without payment    request what was paid from the student side, and record it again
code differs            request the student side's code, which is the one that works
cancelled but valid     send the cancellation again, until the student side confirms it
cancellation lost       request when it was cancelled, and cancel it again

What is requested comes as `access_grant_reported` (see `grants`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from admit_one.contract import Envelope
from admit_one.logs import EventLogger
from admit_one.messaging import publish
from django.db.models import F
from django.utils import timezone
from shared_contracts.events import MOST_GRANTS, AccessCodeRestored, AccessGrantsRequested

from subscriptions import code_requests
from subscriptions.models import Drift, ReconciliationRun, Subscription, paid_of

from . import outcome

logger = EventLogger(__name__)

Kind, State = Drift.Kind, Drift.State

MOST_TRIES = 3
"""Tries of one repair before it is left to a person."""

REPORTED = (Kind.CODE_WITHOUT_PAYMENT, Kind.CODE_DIFFERS, Kind.CANCELLATION_LOST)
"""What is repaired by a report of the student side."""


def begin(run: ReconciliationRun, drifts: Mapping[UUID, str]) -> None:
    """Request what repairs these subscriptions of the run, by kind. Runs in a transaction."""
    by_kind: dict[str, list[UUID]] = {kind: [] for kind in Kind}
    for subscription_id, kind in sorted(drifts.items()):
        by_kind[kind].append(subscription_id)
    code_requests.request_at_once(by_kind[Kind.PAID_WITHOUT_CODE])
    code_requests.revoke_at_once(by_kind[Kind.CANCELLED_BUT_VALID])
    events = (
        *_restored(run, by_kind[Kind.CODE_LOST]),
        *_requested(run, [row_id for kind in REPORTED for row_id in by_kind[kind]]),
    )
    publish(*(Envelope.of(event, correlation=str(run.id)) for event in events))


def _restored(
    run: ReconciliationRun, subscriptions: Sequence[UUID]
) -> Iterator[AccessCodeRestored]:
    for row in Subscription.objects.filter(id__in=subscriptions, access_code__isnull=False):
        code = row.code_if_it_opens
        if not code:
            logger.error(
                "code_does_not_open",
                "{subscription}: its code does not open, and so it cannot be restored",
                subscription=row,
            )
            continue
        yield AccessCodeRestored(
            subscription_id=row.id,
            run_id=run.id,
            **paid_of(row),
            occurred_at=row.created_at,
            access_code=code,
            issued_at=row.code_issued_at or row.created_at,
        )


def _requested(
    run: ReconciliationRun, subscriptions: Sequence[UUID]
) -> Iterator[AccessGrantsRequested]:
    for start in range(0, len(subscriptions), MOST_GRANTS):
        part = tuple(subscriptions[start : start + MOST_GRANTS])
        yield AccessGrantsRequested(run_id=run.id, subscription_ids=part)


def repeat(run: ReconciliationRun, *, pause: timedelta, batch: int) -> None:
    """Try again what had no answer for `pause`; after `MOST_TRIES` it is left to a person."""
    outcome.look_again(run)  # what has worked is not tried again
    late = run.drifts.filter(state=State.REPAIRING, tried_at__lte=timezone.now() - pause)
    late.filter(tries__gte=MOST_TRIES).update(
        state=State.NEEDS_PERSON, note=f"tried {MOST_TRIES} times, and no answer has repaired it"
    )
    again = dict(late.order_by("id").values_list("subscription_id", "kind")[:batch])
    begin(run, again)
    run.drifts.filter(subscription_id__in=list(again)).update(
        tries=F("tries") + 1, tried_at=timezone.now()
    )
