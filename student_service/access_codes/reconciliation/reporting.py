"""Reports the grants that wait, in the order in which they were requested, so many in an hour.

Whoever can sign for the payment side could ask for every code and address. The cap bounds what
they get before somebody reads the warning: `GRANTS_AN_HOUR`, by hours of the database's clock. An
operator may lift it for one run, or refuse the run (see `by_hand`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from admit_one.contract.envelope import Envelope
from admit_one.database import bulk
from admit_one.logs import EventLogger
from admit_one.messaging import publish
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from shared_contracts.events import AccessGrantReported, AccessGrantsDelayed

from access_codes import metrics
from access_codes.models import AnsweredRun, HourOfGrants, WaitingGrant

from . import answered, grants

logger = EventLogger(__name__)

BATCH = 200
"""Grants in one transaction, which takes about a tenth of a second."""

HOUR = timedelta(hours=1)


def report_due() -> bool:
    """Report the next grants; returns whether there may be more for this hour.

    If there are more than the hour allows, the payment side hears of each run that waits.
    """
    hour = _this_hour()
    if hour is None:
        return False
    with transaction.atomic():
        if _report_decided() or _report_capped(hour):
            return True
        _announce_waits(hour)
        return False


def _this_hour() -> datetime | None:
    """The hour that it is, by the database's clock; none if nothing waits."""
    now = WaitingGrant.objects.order_by("id").values_list(Now(), flat=True).first()
    return None if now is None else now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _report_decided() -> bool:
    """Report the grants of lifted runs, and drop those of refused ones: outside the cap."""
    run = AnsweredRun.objects.decided().waiting().first()
    if run is None:
        return False
    rows = _take(WaitingGrant.objects.filter(run=run), BATCH)
    if run.decision not in answered.NO_MORE:
        _report(rows)
    return bool(rows)


def _report_capped(hour: datetime) -> bool:
    bulk.insert_new(HourOfGrants, [{"hour": hour}], conflict=["hour"], returning=["hour"])
    share = HourOfGrants.objects.select_for_update().get(pk=hour)
    left = settings.GRANTS_AN_HOUR - share.reported
    if left <= 0:
        return False
    rows = _take(WaitingGrant.objects.filter(run__decision=""), min(BATCH, left))
    share.reported += _report(rows)
    share.save(update_fields=["reported"])
    return bool(rows)


def _take(waiting: QuerySet[WaitingGrant], most: int) -> list[WaitingGrant]:
    """Lock and delete the next that wait: what is reported, or cannot be, waits no more."""
    rows = list(waiting.order_by("id").select_for_update(of=("self",), skip_locked=True)[:most])
    WaitingGrant.objects.filter(id__in=[row.id for row in rows]).delete()
    return rows


def _report(rows: Sequence[WaitingGrant]) -> int:
    """Report the grants of these rows; returns how many could be."""
    codes = grants.with_codes(row.subscription_id for row in rows)
    replies = []
    for row in rows:
        code = codes.get(row.subscription_id)
        report = grants.grant(code, row.run_id) if code else None
        if report is not None:
            replies.append(_reply(row, report))
    publish(*replies)
    if replies:
        transaction.on_commit(lambda: metrics.GRANTS.inc(len(replies)))
        runs = ", ".join(sorted({str(row.run_id) for row in rows}))
        logger.info(
            "grants_reported", "reported {grants} grants to {runs}", grants=len(replies), runs=runs
        )
    return len(replies)


def _reply(row: WaitingGrant, report: AccessGrantReported) -> Envelope[AccessGrantReported]:
    return Envelope.of(
        report,
        cause=row.causation_id,
        correlation=row.correlation_id,
        traceparent=row.traceparent or None,
    )


def _announce_waits(hour: datetime) -> None:
    """Report once an hour of each run that its grants wait for the next."""
    until = hour + HOUR
    waiting = AnsweredRun.objects.waiting().filter(decision="").order_by("run_id")
    for run in waiting.exclude(delayed_until=until).select_for_update(
        of=("self",), skip_locked=True
    ):
        if run.waits_since is None:
            run.waits_since = Now()
            logger.warning(
                "grants_wait",
                "{run} asks for more than {cap} grants an hour: the others wait until {until:%H:%M}"
                "Z and longer; see manage.py grants list",
                run=run,
                cap=settings.GRANTS_AN_HOUR,
                until=until,
            )
        run.delayed_until = until
        run.save(update_fields=["waits_since", "delayed_until"])
        delayed = AccessGrantsDelayed(run_id=run.run_id, until=until)
        publish(Envelope.of(delayed, correlation=str(run.run_id)))
