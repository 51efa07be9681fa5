"""Grants: all that is known about a subscription, its code and its address included.

Whoever may ask for them could ask for all. So a run gets them only for the window that it
compares (see `answered`), and each waits as a row for its turn in this hour or a later one (see
`reporting`). What the request itself says already is confirmed at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

from admit_one.database import bulk
from admit_one.logs import EventLogger
from admit_one.messaging import Envelope, Rejected, publish, wake
from admit_one.sealing import cipher
from shared_contracts.events import AccessCodeRestored, AccessGrantReported, AccessGrantsRequested

from access_codes.models import PAID, AccessCode, AnsweredRun, MailIntent, WaitingGrant

from . import access_state, answered

logger = EventLogger(__name__)

REPORT_TASK = "student_service.report_grants"

Cause = Envelope[AccessGrantsRequested] | Envelope[AccessCodeRestored]


def queue(messages: Sequence[Envelope[AccessGrantsRequested]]) -> list[Rejected]:
    """Let each requested grant wait for its turn; a subscription without a code has none.

    Rejects messages of runs that have compared nothing here, were refused, or have another window.
    """
    return _wait([(message, message.data.subscription_ids) for message in messages])


def confirm(messages: Sequence[Envelope[AccessCodeRestored]]) -> list[Rejected]:
    """Report the codes that are now as these messages say; other codes wait for their turn.

    Rejects messages about other codes as `queue` does.
    """
    codes = with_codes(message.data.subscription_id for message in messages)
    confirmed, others = [], []
    for message in messages:
        row = codes.get(message.data.subscription_id)
        report = grant(row, message.data.run_id) if row else None
        if report is None:
            continue
        if _says_nothing_new(report, message.data):
            confirmed.append(message.follow(report))
        else:
            others.append((message, [message.data.subscription_id]))
    publish(*confirmed)
    return _wait(others)


def _says_nothing_new(report: AccessGrantReported, asked: AccessCodeRestored) -> bool:
    return (report.access_code, report.email) == (asked.access_code, asked.email)


def _wait(requests: Sequence[tuple[Cause, Sequence[UUID]]]) -> list[Rejected]:
    """Let these grants wait; one that waits already keeps its turn."""
    runs = AnsweredRun.objects.in_bulk([message.data.run_id for message, _ in requests])
    every = {subscription for _, subscriptions in requests for subscription in subscriptions}
    kept = AccessCode.objects.kept().filter(pk__in=every)
    paid = dict(kept.values_list("pk", "occurred_at"))
    rows: dict[tuple[UUID, UUID], dict[str, Any]] = {}
    rejected = []
    for message, subscriptions in requests:
        known = [subscription for subscription in subscriptions if subscription in paid]
        if not known:
            continue
        reason = answered.why_not(
            runs.get(message.data.run_id), [paid[subscription] for subscription in known]
        )
        if reason:
            rejected.append(Rejected(message, reason))
        else:
            rows |= {(row["run_id"], row["subscription_id"]): row for row in _rows(message, known)}
    unique = ("run_id", "subscription_id")
    sorted_rows = [row for _, row in sorted(rows.items())]
    if bulk.insert_new(WaitingGrant, sorted_rows, conflict=unique, returning=["id"]):
        wake.task(REPORT_TASK)
    return rejected


def _rows(message: Cause, subscriptions: Collection[UUID]) -> Iterable[dict[str, Any]]:
    for subscription in subscriptions:
        yield {
            "run_id": message.data.run_id,
            "subscription_id": subscription,
            "causation_id": message.id,
            "correlation_id": message.correlationid,
            "traceparent": message.traceparent or "",
        }


def with_codes(subscriptions: Iterable[UUID]) -> dict[UUID, AccessCode]:
    """Those of these subscriptions that have codes, with all that a grant needs.

    Locked, so that none of them is erased before its grant is committed.
    """
    rows = AccessCode.objects.kept().filter(pk__in=set(subscriptions)).order_by("pk")
    locked = rows.select_for_update(of=("self",), no_key=True)
    related = locked.select_related("revocation", "terms", "resend").prefetch_related("mails")
    return access_state.with_suspensions(related).in_bulk()


def grant(row: AccessCode, run_id: UUID) -> AccessGrantReported | None:
    """None if it cannot be unsealed; the payment side then leaves it to a person."""
    try:
        code, address = row.code, _address(row)
        paid = {name: getattr(row, name) for name in PAID}
    except cipher.Unsealable as error:
        logger.warning(
            "grant_not_reported", "{grant} cannot be reported: {error}", grant=row, error=error
        )
        return None
    return AccessGrantReported(
        subscription_id=row.subscription_id,
        run_id=run_id,
        email=address,
        access_code=code,
        issued_at=row.issued_at,
        cancelled_at=row.revocation.cancelled_at if row.is_revoked else None,
        emailed_at=max(
            (mail.sent_at for mail in row.mails.all() if mail.sent_at and mail.has_code),
            default=None,
        ),
        **access_state.of(row),
        **paid,
    )


def _address(row: AccessCode) -> str:
    """The address as the payment side knows it: as it last corrected it, or in the first mail."""
    corrected = row.resend.address if row.has_resend else None
    first: MailIntent = min(row.mails.all(), key=lambda mail: mail.id)
    return corrected or first.address
