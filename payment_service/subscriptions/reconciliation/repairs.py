"""What mends drift. Each repair may be done twice, and has worked once both sides agree.

paid without code       a new ask; it is answered with the code that is there, or with a new one
code lost               the student side is told the code, and keeps it
code without payment    the student side tells what was paid, and it is recorded again
code differs            the student side tells its code, which is the one that works
cancelled but valid     the cancellation is told again, until the student side has confirmed it
cancellation lost       the student side tells when it was cancelled, and it is cancelled again
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from admit_one.contract.envelope import Envelope
from admit_one.database import bulk
from admit_one.messaging import outbox
from admit_one.sealing import cipher
from admit_one.web.models import ApiKey
from django.db.models import F
from django.utils import timezone
from shared_contracts.events import (
    MOST_GRANTS,
    AccessCodeRestored,
    AccessGrantReported,
    AccessGrantsRequested,
)

from subscriptions import asking
from subscriptions.models import (
    CODE_PURPOSE,
    Drift,
    ReconciliationRun,
    Subscription,
)

from . import outcome

logger = logging.getLogger(__name__)

RECOVERED = "recovered"
"""The client that owns what was recorded again, until somebody hands it to the one who sold it."""

Kind, State = Drift.Kind, Drift.State

KEYS = ("run_id", "subscription_id")

TOLD = (Kind.CODE_WITHOUT_PAYMENT, Kind.CODE_DIFFERS, Kind.CANCELLATION_LOST)
"""What is mended by what the student side tells of it."""


def begin(run: ReconciliationRun, drifts: Mapping[UUID, str]) -> None:
    """Ask for what mends these subscriptions of the run, by kind. Runs in a transaction."""
    by_kind: dict[str, list[UUID]] = {kind: [] for kind in Kind}
    for subscription, kind in sorted(drifts.items()):
        by_kind[kind].append(subscription)
    asking.ask_at_once(by_kind[Kind.PAID_WITHOUT_CODE])
    asking.revoke_at_once(by_kind[Kind.CANCELLED_BUT_VALID])
    to_be_told = [one for kind in TOLD for one in by_kind[kind]]
    messages: list[AccessCodeRestored | AccessGrantsRequested] = [
        *_known(run, by_kind[Kind.CODE_LOST]),
        *(
            AccessGrantsRequested(run_id=run.id, subscription_ids=tuple(some))
            for some in _parts(to_be_told, MOST_GRANTS)
        ),
    ]
    outbox.publish(*(Envelope.of(message, correlation=str(run.id)) for message in messages))


def _known(run: ReconciliationRun, subscriptions: Sequence[UUID]) -> Iterator[AccessCodeRestored]:
    for one in Subscription.objects.filter(id__in=subscriptions, access_code__isnull=False):
        code = one.code_if_it_opens
        if not code:
            logger.error("%s: its code does not open, and so it cannot be told", one)
            continue
        yield AccessCodeRestored(
            subscription_id=one.id,
            run_id=run.id,
            user_id=one.user_id,
            email=one.email,
            plan=one.plan,
            amount=one.amount,
            currency=one.currency,
            occurred_at=one.created_at,
            access_code=code,
            issued_at=one.code_issued_at or one.created_at,
        )


def take_over(messages: Sequence[Envelope[AccessGrantReported]]) -> None:
    """Agree with what the student side tells of subscriptions that are being repaired.

    What nobody has asked for, or what comes twice, changes nothing.
    """
    told = {
        (message.data.run_id, message.data.subscription_id): message.data for message in messages
    }
    runs = _locked({run_id for run_id, _ in told})
    drifts = Drift.objects.filter(
        run_id__in=runs, subscription_id__in=[key[1] for key in told], state__in=outcome.ASKED_FOR
    )
    open_drifts = [drift for drift in drifts if (drift.run_id, drift.subscription_id) in told]
    ids = [drift.subscription_id for drift in open_drifts]
    known = Subscription.objects.order_by("id").select_for_update().in_bulk(ids)
    for drift in open_drifts:
        event = told[drift.run_id, drift.subscription_id]
        drift.state, drift.note = _agree(event, known.get(drift.subscription_id))
        drift.settled_at = timezone.now()
    Drift.objects.bulk_update(open_drifts, ["state", "note", "settled_at"])
    for run in runs.values():
        outcome.conclude(run)


def _agree(told: AccessGrantReported, ours: Subscription | None) -> tuple[str, str]:
    if ours is None:
        if told.amount is None or told.currency is None:
            return State.NEEDS_PERSON, "the student side was never told what was paid"
        bulk.insert_new(Subscription, [_recovered(told)], conflict=["id"], returning=["id"])
        return State.REPAIRED, f"recorded again, for the client {RECOVERED!r}"
    if ours.user_id != told.user_id:
        return State.NEEDS_PERSON, "the student side has its code for another user"
    if told.cancelled_at is not None and ours.cancelled_at is None:
        # Who tells of it has revoked the code.
        ours.cancelled_at, ours.code_revoked_at = told.cancelled_at, timezone.now()
        ours.save(update_fields=["cancelled_at", "code_revoked_at"])
        return State.REPAIRED, "cancelled here again"
    if ours.code_if_it_opens == told.access_code:
        return State.REPAIRED, "both sides have the same code"
    ours.access_code = cipher.seal(told.access_code.encode(), CODE_PURPOSE)
    ours.code_issued_at = told.issued_at
    ours.save(update_fields=["access_code", "code_issued_at"])
    return State.REPAIRED, "took over the code of the student side"


def _recovered(told: AccessGrantReported) -> dict[str, Any]:
    return {
        "id": told.subscription_id,
        "client": RECOVERED,
        "user_id": told.user_id,
        "email": told.email,
        "plan": told.plan,
        "amount": told.amount,
        "currency": told.currency,
        "created_at": told.occurred_at,
        "access_code": cipher.seal(told.access_code.encode(), CODE_PURPOSE),
        "code_issued_at": told.issued_at,
        "cancelled_at": told.cancelled_at,
        "code_revoked_at": timezone.now() if told.cancelled_at else None,
        # Its asks were lost with the row; it waits for nothing, so it needs no other.
        "first_event_id": "",
        "last_event_id": "",
        "asked": 0,
        "next_ask_at": told.occurred_at,
    }


class NoSuchClient(ValueError):
    """No API key belongs to the client, so nobody could see what is handed to it."""


def adopt(client: str, subscriptions: Sequence[UUID] | None) -> int:
    """Hand subscriptions that were recorded again to the client who sold them; returns how many.

    None means all of them. Raises `NoSuchClient`.
    """
    if not ApiKey.objects.filter(client=client).exists():
        raise NoSuchClient(f"no API key belongs to {client!r}; see manage.py api_key list")
    recovered = Subscription.objects.of(RECOVERED)
    if subscriptions is not None:
        recovered = recovered.filter(id__in=subscriptions)
    return recovered.update(client=client)


def repeat(run: ReconciliationRun, *, pause: timedelta, at_most: int, batch: int) -> None:
    """Ask once more for repairs without an answer for `pause`; after `at_most` it is a person's."""
    outcome.look_again(run)  # what has worked is not asked for once more
    late = run.drifts.filter(state=State.REPAIRING, tried_at__lte=timezone.now() - pause)
    late.filter(tries__gte=at_most).update(
        state=State.NEEDS_PERSON, note=f"asked {at_most} times, and no answer has mended it"
    )
    again = dict(late.order_by("id").values_list("subscription_id", "kind")[:batch])
    begin(run, again)
    run.drifts.filter(subscription_id__in=list(again)).update(
        tries=F("tries") + 1, tried_at=timezone.now()
    )


def _locked(ids: set[UUID]) -> dict[UUID, ReconciliationRun]:
    runs = ReconciliationRun.objects.filter(id__in=ids).order_by("id").select_for_update()
    return {run.id: run for run in runs}


def _parts(ids: Sequence[UUID], size: int) -> Iterator[Sequence[UUID]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))
