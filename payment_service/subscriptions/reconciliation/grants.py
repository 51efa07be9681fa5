"""Repairs our rows with what the student side reports about subscriptions.

The student side does not know which client sold a subscription, so subscriptions that are recorded
again belong to `RECOVERED` until an operator assigns them (`adopt`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
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

from subscriptions import webhook_events
from subscriptions.completion import complete
from subscriptions.models import CODE_PURPOSE, Drift, ReconciliationRun, Subscription, paid_of
from subscriptions.webhook_events import Seen

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
    before = {row.id: Seen.of(row) for row in ours.values()}
    for drift in drifts:
        report = reports[drift.run_id, drift.subscription_id]
        drift.state, drift.note = _agree(ours.get(drift.subscription_id), report)
        drift.closed_at = timezone.now() if drift.state == State.REPAIRED else None
    Drift.objects.bulk_update(drifts, ["state", "note", "closed_at"])
    complete(row.order_id for row in ours.values())
    webhook_events.report_found(ours.values(), before)
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
    notes = list(_adopt(ours, report))
    if not notes:
        return State.REPAIRED, "both sides have the same code"
    ours.save()
    return State.REPAIRED, "; ".join(notes)


def _adopt(ours: Subscription, report: AccessGrantReported) -> Iterator[str]:
    """Take over what the student side knows better; yields what that is."""
    if report.cancelled_at is not None and ours.cancelled_at is None:
        # They report it as cancelled, so they have revoked its code.
        ours.cancelled_at, ours.code_revoked_at = believed(report.cancelled_at), timezone.now()
        yield "cancelled here again"
        return
    if report.revoked_at is not None and ours.code_revoked_at is None:
        ours.code_revoked_at = believed(report.revoked_at)
        yield "revoked here as well"
    is_earlier = report.generation < ours.code_generation
    if ours.code_or_unreadable != report.access_code and not is_earlier:
        ours.access_code, ours.code_generation = _sealed_code(report), report.generation
        ours.code_issued_at = believed(report.issued_at)
        yield "adopted the code of the student side"
    if report.version > ours.terms_version:
        ours.end_reported = ours.end_reported and ours.valid_until == report.valid_until
        for name, value in _terms(report).items():
            setattr(ours, name, value)
        yield "adopted the terms of the student side"
    if report.uses_made > ours.uses_made:
        ours.uses_made = report.uses_made
        yield "adopted the uses of the student side"
    if report.suspension_version > ours.suspension_version:
        ours.suspension_version = report.suspension_version
        ours.suspended_by_operator = report.suspended_by_operator
        yield "adopted the suspension of the student side"


def _terms(report: AccessGrantReported) -> dict[str, Any]:
    """Our columns of the terms in a report."""
    return {
        "valid_from": report.valid_from,
        "valid_until": report.valid_until,
        "uses": report.uses,
        "terms_version": report.version,
        "terms_applied": report.version,
        "suspended_at": timezone.now() if report.suspended else None,
        "past_due_at": timezone.now() if report.suspended else None,
    }


def _record_again(report: AccessGrantReported) -> tuple[str, str]:
    bulk.insert_new(Subscription, [_recovered(report)], conflict=["id"], returning=["id"])
    return State.REPAIRED, f"recorded again, for the client {RECOVERED!r}"


def _recovered(report: AccessGrantReported) -> dict[str, Any]:
    created_at, cancelled_at = believed(report.occurred_at), report.cancelled_at
    revoked_at = report.revoked_at or cancelled_at
    return {
        "id": report.subscription_id,
        "client": RECOVERED,
        **paid_of(report),
        "test": report.test,
        "language": report.language,
        "created_at": created_at,
        "access_code": _sealed_code(report),
        "code_issued_at": believed(report.issued_at),
        "code_generation": report.generation,
        **_terms(report),
        "emailed_at": believed(report.emailed_at) if report.emailed_at else None,
        "uses_made": report.uses_made,
        "suspension_version": report.suspension_version,
        "suspended_by_operator": report.suspended_by_operator,
        "cancelled_at": believed(cancelled_at) if cancelled_at else None,
        "code_revoked_at": believed(revoked_at) if revoked_at else None,
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
