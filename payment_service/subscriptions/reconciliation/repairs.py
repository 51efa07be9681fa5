"""Repairs drift. Each repair is idempotent, and has worked once both sides agree.

paid without code       request the code again: the student side sends the existing one or a new one
code lost               send the code to the student side, which stores it
code without payment    request the payment data from the student side, and record it again
code differs            request the student side's code, which is the one that works
cancelled but valid     request the revocation again, until the student side confirms it
cancellation lost       request the time of the cancellation, and cancel it again
revocation lost         send the code with its revocation, which the student side stores
replacement lost        send the code that replaced theirs, which the student side stores
terms lost              request again that they be applied
terms differ            request the student side's terms, which are later
erased here             request again that it be erased there
erased there            erase it here

The student side answers with `access_grant_reported` (see `grants`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from admit_one.erasure import requests
from admit_one.logs import EventLogger
from admit_one.messaging import Envelope, publish
from django.db.models import F
from django.utils import timezone
from shared_contracts.events import MAX_GRANTS, AccessCodeRestored, AccessGrantsRequested

from subscriptions import code_requests
from subscriptions.models import Drift, ReconciliationRun, Subscription, paid_of

from . import outcome

logger = EventLogger(__name__)

Kind, State = Drift.Kind, Drift.State

MAX_TRIES = 3
"""Tries of one repair before it is left to a person."""

NEEDS_REPORT = (
    Kind.CODE_WITHOUT_PAYMENT,
    Kind.CODE_DIFFERS,
    Kind.CANCELLATION_LOST,
    Kind.TERMS_DIFFER,
)
"""Drift that a report of the student side repairs."""

NEEDS_RESTORING = (Kind.CODE_LOST, Kind.REVOCATION_LOST, Kind.REPLACEMENT_LOST)
"""Drift that is repaired by what we send."""

ENDS_WITH_REPORT = (*NEEDS_REPORT, *NEEDS_RESTORING)
"""Drift that is repaired once the student side has reported what it has."""


def begin(run: ReconciliationRun, drifts: Mapping[UUID, str]) -> None:
    """Start the repair of these subscriptions, given with their kinds. Runs in a transaction."""
    by_kind: dict[str, list[UUID]] = {kind: [] for kind in Kind}
    for subscription_id, kind in sorted(drifts.items()):
        by_kind[kind].append(subscription_id)
    code_requests.request_at_once(by_kind[Kind.PAID_WITHOUT_CODE])
    code_requests.revoke_at_once(by_kind[Kind.CANCELLED_BUT_VALID])
    code_requests.apply_at_once(by_kind[Kind.TERMS_LOST])
    requests.ask(map(str, by_kind[Kind.ERASED_HERE]))
    _erase(run, by_kind[Kind.ERASED_THERE])
    events = (
        *_restore(run, [row_id for kind in NEEDS_RESTORING for row_id in by_kind[kind]]),
        *_request(run, [row_id for kind in NEEDS_REPORT for row_id in by_kind[kind]]),
    )
    publish(*(Envelope.of(event, correlation=str(run.id)) for event in events))


def _erase(run: ReconciliationRun, subscriptions: Sequence[UUID]) -> None:
    """Let a task erase these: it must not wait for a transaction that looks at many."""
    if subscriptions:
        requests.put([str(subscription) for subscription in subscriptions], run.id)
        requests.wake_eraser()


def _restore(run: ReconciliationRun, subscriptions: Sequence[UUID]) -> Iterator[AccessCodeRestored]:
    # Locked, so that none of them is erased before this is committed.
    with_code = Subscription.objects.filter(id__in=subscriptions, access_code__isnull=False)
    for row in with_code.order_by("id").select_for_update(no_key=True):
        code = row.code_or_unreadable
        if not code:
            logger.error(
                "code_does_not_open",
                "the code of {subscription} cannot be unsealed, so it cannot be restored",
                subscription=row,
            )
            continue
        yield AccessCodeRestored(
            subscription_id=row.id,
            run_id=run.id,
            **paid_of(row),
            test=row.test,
            language=row.language,
            occurred_at=row.created_at,
            access_code=code,
            issued_at=row.code_issued_at or row.created_at,
            generation=row.code_generation,
            uses_made=row.uses_made,
            suspension_version=row.suspension_version,
            suspended_by_operator=row.suspended_by_operator,
            revoked_at=row.code_revoked_at,
            **(row.terms() if row.terms_version else {}),
        )


def _request(
    run: ReconciliationRun, subscriptions: Sequence[UUID]
) -> Iterator[AccessGrantsRequested]:
    for start in range(0, len(subscriptions), MAX_GRANTS):
        part = tuple(subscriptions[start : start + MAX_GRANTS])
        yield AccessGrantsRequested(run_id=run.id, subscription_ids=part)


def repeat(run: ReconciliationRun, *, pause: timedelta, batch: int) -> None:
    """Retry repairs without an answer for `pause`; after `MAX_TRIES`, leave them to a person.

    While the student side says that its reports wait, those repairs are not late.
    """
    outcome.close_resolved(run)
    now = timezone.now()
    late = run.drifts.filter(state=State.REPAIRING, tried_at__lte=now - pause)
    if run.grants_wait_until is not None and now < run.grants_wait_until + pause:
        late = late.exclude(kind__in=ENDS_WITH_REPORT)
    late.filter(tries__gte=MAX_TRIES).update(
        state=State.NEEDS_PERSON, note=f"tried {MAX_TRIES} times without a repair"
    )
    again = dict(late.order_by("id").values_list("subscription_id", "kind")[:batch])
    begin(run, again)
    run.drifts.filter(subscription_id__in=list(again)).update(tries=F("tries") + 1, tried_at=now)
