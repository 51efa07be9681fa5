"""`manage.py reconcile`: compare both sides, and repair what differs."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from admit_one.acts.models import Act
from admit_one.processes import ServiceCommand, Stop
from admit_one.sealing import canaries
from django.core.management.base import CommandError
from django.db import transaction

from subscriptions.models import ReconciliationRun
from subscriptions.reconciliation import runs
from subscriptions.reconciliation.grants import RECOVERED, NoSuchClient, adopt
from subscriptions.reconciliation.report import headline, report
from subscriptions.reconciliation.window import WrongWindow

EXAMPLES = """
examples:
  manage.py reconcile                            compare the last days, change nothing
  manage.py reconcile --repair                   the same, and repair what differs
  manage.py reconcile --from 2026-01-01 --wait 600
  manage.py reconcile list                       list the latest runs
  manage.py reconcile show RUN                   show what one run found
  manage.py reconcile adopt --client shop ID ID  assign restored subscriptions to their client
  manage.py reconcile adopt --client shop --all

exit codes: 0 both sides agree, 1 they differ, 2 wrong usage or keys, 3 no result in time
"""
EXITS = {
    ReconciliationRun.State.CLEAN: 0,
    ReconciliationRun.State.REPAIRED: 0,
    ReconciliationRun.State.DRIFT: 1,
}
NO_RESULT = 3
LATEST = 20
LOOK_EVERY = 0.5
REPORT_EVERY = 5.0


def utc(text: str) -> datetime:
    """A date, or a date and time; UTC unless it has an offset."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # an offset may leave the years 1 to 9999
        raise ArgumentTypeError(
            f"expected a date or time such as 2026-01-31T08:00, got {text!r}"
        ) from None


class Command(ServiceCommand):
    help = "Compare paid subscriptions with the codes of the student side, through events."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        parser.add_argument("--from", dest="since", type=utc, help="default: RECONCILE_DAYS ago")
        parser.add_argument(
            "--to", dest="until", type=utc, help="default: RECONCILE_AFTER seconds ago"
        )
        parser.add_argument("--repair", action="store_true", help="repair what differs")
        parser.add_argument(
            "--wait",
            type=float,
            default=60.0,
            metavar="SECONDS",
            help="how long to wait for the result (default 60)",
        )
        actions = parser.add_subparsers(dest="action")
        actions.add_parser("list", help="list the latest runs")
        actions.add_parser("show", help="show what a run found").add_argument("run", type=UUID)
        adoption = actions.add_parser("adopt", help="assign restored subscriptions to a client")
        adoption.add_argument("--client", required=True, help="the API client that gets them")
        which = adoption.add_mutually_exclusive_group(required=True)
        which.add_argument("--all", action="store_true", help="all restored subscriptions")
        which.add_argument("id", nargs="*", type=UUID, default=[], help="ids of subscriptions")

    def handle(self, *, action: str | None, **options: Any) -> None:
        if action == "list":
            self._list()
        elif action == "show":
            self._end(options["run"])
        elif action == "adopt":
            self._adopt(options["client"], None if options["all"] else options["id"])
        else:
            self._run(options["since"], options["until"], options["repair"], options["wait"])

    def _run(
        self, since: datetime | None, until: datetime | None, repair: bool, wait: float
    ) -> None:
        try:
            canaries.check()
            with transaction.atomic():
                run = runs.start(since=since, until=until, repair=repair)
                action = "repair" if repair else "compare"
                Act.draft("reconciliation", action, target=run.id).save()
        except (canaries.WrongKey, WrongWindow) as error:
            raise CommandError(str(error), returncode=2) from None
        self._wait(run, wait)
        self._end(run.id)

    def _wait(self, run: ReconciliationRun, wait: float) -> None:
        """Wait until the run ends, the time is up, or a signal arrives."""
        stop, begun = Stop().on_signals(exit_code=NO_RESULT), time.monotonic()
        next_report = begun + REPORT_EVERY
        while not stop and run.ended_at is None and time.monotonic() < begun + wait:
            stop.wait(LOOK_EVERY)
            run = runs.refresh(run.id) or run
            if time.monotonic() > next_report:
                next_report += REPORT_EVERY
                self.stdout.write(f"{run.state}, {run.compared:,} subscriptions compared so far")
                self.stdout.flush()
        stop.done()

    def _end(self, run_id: UUID) -> None:
        run = runs.refresh(run_id)
        if run is None:
            raise CommandError(f"no run {run_id}; see manage.py reconcile list", returncode=2)
        for line in report(run):
            self.stdout.write(line)
        sys.exit(EXITS.get(ReconciliationRun.State(run.state), NO_RESULT))

    def _list(self) -> None:
        latest = ReconciliationRun.objects.order_by("-started_at")[:LATEST]
        for run in latest:
            self.stdout.write(headline(run))
        if not latest:
            self.stdout.write("no runs yet")

    def _adopt(self, client: str, ids: list[UUID] | None) -> None:
        try:
            with transaction.atomic():
                adopted = adopt(client, ids)
                facts = {"subscriptions": " ".join(map(str, ids)) if ids else "all"}
                Act.draft("reconciliation", "adopt", target=client, facts=facts).save()
        except NoSuchClient as error:
            raise CommandError(str(error), returncode=2) from None
        self.stdout.write(f"{adopted:,} subscriptions now belong to {client}")
        if ids is not None and adopted != len(ids):
            others = len(ids) - adopted
            raise CommandError(f"{others:,} others do not belong to {RECOVERED!r}")
