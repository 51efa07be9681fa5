"""What the student side reports of a subscription under repair is taken over here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from admit_one.contract import Envelope
from admit_one.database import bulk
from admit_one.sealing import cipher
from django.utils import timezone
from shared_contracts.events import AccessGrantReported

from subscriptions.models import CODE_PURPOSE, Drift, ReconciliationRun, Subscription, paid_of

from . import outcome
from .adoption import RECOVERED

State = Drift.State


def accept_grants(messages: Sequence[Envelope[AccessGrantReported]]) -> None:
    """Agree with what is reported. What was not requested, or comes twice, changes nothing."""
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


def _locked(ids: Collection[UUID]) -> dict[UUID, ReconciliationRun]:
    runs = ReconciliationRun.objects.filter(id__in=ids).order_by("id").select_for_update()
    return {run.id: run for run in runs}


def _agree(ours: Subscription | None, report: AccessGrantReported) -> tuple[str, str]:
    """Make our row agree with the report; returns the state of the drift, and a note."""
    if ours is None:
        return _record_again(report)
    if ours.user_id != report.user_id:
        return State.NEEDS_PERSON, "the student side has its code for another user"
    if report.cancelled_at is not None and ours.cancelled_at is None:
        # Whoever reports it has revoked the code.
        ours.cancelled_at, ours.code_revoked_at = report.cancelled_at, timezone.now()
        ours.save(update_fields=["cancelled_at", "code_revoked_at"])
        return State.REPAIRED, "cancelled here again"
    if ours.code_if_it_opens == report.access_code:
        return State.REPAIRED, "both sides have the same code"
    ours.access_code = cipher.seal(report.access_code.encode(), CODE_PURPOSE)
    ours.code_issued_at = report.issued_at
    ours.save(update_fields=["access_code", "code_issued_at"])
    return State.REPAIRED, "took over the code of the student side"


def _record_again(report: AccessGrantReported) -> tuple[str, str]:
    if report.amount is None or report.currency is None:
        return State.NEEDS_PERSON, "the student side does not know what was paid"
    bulk.insert_new(Subscription, [_recovered(report)], conflict=["id"], returning=["id"])
    return State.REPAIRED, f"recorded again, for the client {RECOVERED!r}"


def _recovered(report: AccessGrantReported) -> dict[str, Any]:
    return {
        "id": report.subscription_id,
        "client": RECOVERED,
        **paid_of(report),
        "created_at": report.occurred_at,
        "access_code": cipher.seal(report.access_code.encode(), CODE_PURPOSE),
        "code_issued_at": report.issued_at,
        "cancelled_at": report.cancelled_at,
        "code_revoked_at": timezone.now() if report.cancelled_at else None,
        # Its requests were lost with the row; it waits for nothing, so it needs no other.
        "first_request_id": "",
        "last_request_id": "",
        "requests": 0,
        "next_request_at": report.occurred_at,
    }
