"""Repairs our rows with what the student side reports about subscriptions.

The student side does not know which client sold a subscription, so subscriptions that are recorded
again belong to `RECOVERED` until an operator assigns them (`adopt`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from admit_one.database import bulk
from admit_one.messaging import Envelope
from admit_one.messaging.their_clock import believed
from admit_one.sealing import cipher
from admit_one.web import ApiKey
from django.utils import timezone
from shared_contracts.events import AccessGrantReported, AccessGrantsDelayed

from subscriptions.models import CODE_PURPOSE, Drift, ReconciliationRun, Subscription, paid_of

from . import outcome

State = Drift.State

RECOVERED = "recovered"

AN_HOUR = timedelta(hours=1)
"""The student side says for every hour that grants wait."""


class NoSuchClient(ValueError):
    """The client has no API key."""


def accept_grants(messages: Sequence[Envelope[AccessGrantReported]]) -> None:
    """Make our rows agree with the reports; those not requested, or repeated, change nothing."""
    reports = {(m.data.run_id, m.data.subscription_id): m.data for m in messages}
    runs = _locked({run_id for run_id, _ in reports})
    awaited = Drift.objects.filter(
        run_id__in=runs,
        subscription_id__in=[subscription_id for _, subscription_id in reports],
        state__in=outcome.REQUESTED,
    )
    drifts = [drift for drift in awaited if (drift.run_id, drift.subscription_id) in reports]
    ids = [drift.subscription_id for drift in drifts]
    ours = Subscription.objects.order_by("id").select_for_update().in_bulk(ids)
    for drift in drifts:
        report = reports[drift.run_id, drift.subscription_id]
        drift.state, drift.note = _agree(ours.get(drift.subscription_id), report)
        drift.closed_at = timezone.now() if drift.state == State.REPAIRED else None
    Drift.objects.bulk_update(drifts, ["state", "note", "closed_at"])
    for run in runs.values():
        outcome.conclude(run)


def note_delays(messages: Sequence[Envelope[AccessGrantsDelayed]]) -> None:
    """Record until when the grants of each run wait; of several times, the latest."""
    until: dict[UUID, datetime] = {}
    for message in messages:
        run_id, at = message.data.run_id, believed(message.data.until, ahead=AN_HOUR)
        until[run_id] = max(at, until.get(run_id, at))
    for run in _locked(until).values():
        known = run.grants_wait_until
        run.grants_wait_until = until[run.id] if known is None else max(known, until[run.id])
        run.save(update_fields=["grants_wait_until"])


def _locked(ids: Collection[UUID]) -> dict[UUID, ReconciliationRun]:
    runs = ReconciliationRun.objects.filter(id__in=ids).order_by("id").select_for_update()
    return {run.id: run for run in runs}


def _agree(ours: Subscription | None, report: AccessGrantReported) -> tuple[str, str]:
    """Make our row agree with the report; returns the new state of the drift, and a note."""
    if ours is None:
        return _record_again(report)
    if ours.user_id != report.user_id:
        return State.NEEDS_PERSON, "the student side has its code for another user"
    if report.cancelled_at is not None and ours.cancelled_at is None:
        # They report it as cancelled, so they have revoked its code.
        ours.cancelled_at, ours.code_revoked_at = believed(report.cancelled_at), timezone.now()
        ours.save(update_fields=["cancelled_at", "code_revoked_at"])
        return State.REPAIRED, "cancelled here again"
    if ours.code_or_unreadable == report.access_code:
        return State.REPAIRED, "both sides have the same code"
    ours.access_code = _sealed_code(report)
    ours.code_issued_at = believed(report.issued_at)
    ours.save(update_fields=["access_code", "code_issued_at"])
    return State.REPAIRED, "adopted the code of the student side"


def _record_again(report: AccessGrantReported) -> tuple[str, str]:
    bulk.insert_new(Subscription, [_recovered(report)], conflict=["id"], returning=["id"])
    return State.REPAIRED, f"recorded again, for the client {RECOVERED!r}"


def _recovered(report: AccessGrantReported) -> dict[str, Any]:
    created_at, cancelled_at = believed(report.occurred_at), report.cancelled_at
    return {
        "id": report.subscription_id,
        "client": RECOVERED,
        **paid_of(report),
        "created_at": created_at,
        "access_code": _sealed_code(report),
        "code_issued_at": believed(report.issued_at),
        "cancelled_at": believed(cancelled_at) if cancelled_at else None,
        "code_revoked_at": timezone.now() if cancelled_at else None,
        # Its requests were lost with the row. It has its code, so it needs no others.
        "first_request_id": "",
        "last_request_id": "",
        "requests": 0,
        "next_request_at": created_at,
    }


def _sealed_code(report: AccessGrantReported) -> bytes:
    return cipher.seal(report.access_code.encode(), CODE_PURPOSE, report.subscription_id)


def adopt(client: str, subscriptions: Sequence[UUID] | None) -> int:
    """Assign recovered subscriptions, all if none are named, to a client; returns how many.

    Raises `NoSuchClient`.
    """
    if not ApiKey.objects.filter(client=client).exists():
        raise NoSuchClient(f"no API key belongs to {client!r}; see manage.py api_key list")
    recovered = Subscription.objects.of(RECOVERED)
    if subscriptions is not None:
        recovered = recovered.filter(id__in=subscriptions)
    return recovered.update(client=client)
