"""What a run does with the page that it waits for: note where both sides differ, and go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from admit_one.contract import Envelope
from admit_one.database import bulk
from django.utils import timezone
from shared_contracts.events import AccessDigest

from subscriptions.models import Drift, ReconciliationRun

from . import comparison, outcome, repairs, runs
from .comparison import Difference
from .window import grace


def compare_pages(messages: Sequence[Envelope[AccessDigest]]) -> None:
    """Compare each page that its run waits for with our rows, and request the next one."""
    for message in messages:
        run = _comparing(message.data.run_id)
        if run is not None and run.after == comparison.place(message.data.after):
            _compare(run, message)


def _comparing(run_id: UUID) -> ReconciliationRun | None:
    comparing = ReconciliationRun.objects.filter(id=run_id, state=ReconciliationRun.State.COMPARING)
    return comparing.select_for_update().first()


def _compare(run: ReconciliationRun, message: Envelope[AccessDigest]) -> None:
    page = comparison.compare(run, message.data, horizon=message.time - grace())
    new = _note(run, page.differences)
    run.compared += page.ours + new[Drift.Kind.CODE_WITHOUT_PAYMENT]
    if page.end is None:
        run.state = ReconciliationRun.State.REPAIRING
        run.save()
        outcome.conclude(run)
    else:
        run.after_paid_at, run.after_id = page.end
        run.requests = 0
        runs.request_page(run)


def _note(run: ReconciliationRun, differences: Sequence[Difference]) -> Counter[str]:
    """Write down what is new of them, and begin the repair; returns how many of each kind."""
    now = timezone.now()
    rows = [
        {
            "run_id": run.id,
            **difference._asdict(),
            "state": Drift.State.REPAIRING if run.repair else Drift.State.OPEN,
            "tries": int(run.repair),
            "tried_at": now if run.repair else None,
            "found_at": now,
        }
        for difference in sorted(differences)
    ]
    new = dict(
        bulk.insert_new(
            Drift,
            rows,
            conflict=("run_id", "subscription_id"),
            returning=("subscription_id", "kind"),
        )
    )
    if run.repair:
        repairs.begin(run, new)
    return Counter(new.values())
