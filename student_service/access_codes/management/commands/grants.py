"""`manage.py grants list|lift|refuse`: for operators, about codes that reconciliations ask for."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any
from uuid import UUID

from admit_one.acts.who import person
from admit_one.processes import ServiceCommand
from admit_one.sealing import canaries
from django.conf import settings
from django.core.management.base import CommandError

from access_codes.models import AnsweredRun, HourOfGrants
from access_codes.reconciliation import by_hand

EXAMPLES = """
examples:
  manage.py grants list                          the latest runs, and how many grants wait for each
  manage.py grants lift RUN --reason "we restored the payment database"
  manage.py grants refuse RUN RUN --reason "nobody there has started it"
  manage.py grants lift RUN --dry-run --reason "…"

A grant is a code with its address. Reconciliations of the payment service get at most
GRANTS_AN_HOUR of them in an hour; the others wait. `lift` sends those of one run at once; ask the
people of the payment service first whether the run is theirs (manage.py reconcile list, there).
`refuse` drops those that wait, and the run gets no more. With --dry-run nothing is changed.
"""
LATEST = 20
MAX_COUNTED = 10_000


class Command(ServiceCommand):
    help = "List the reconciliations that were answered; lift the cap for one, or refuse it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="list the latest runs, and those that wait")
        lift = actions.add_parser("lift", help="report all grants of these runs without a cap")
        refuse = actions.add_parser("refuse", help="report no more grants to these runs")
        for decision in (lift, refuse):
            decision.add_argument("run", nargs="+", type=UUID, help="the id of a run")
            decision.add_argument("--reason", required=True, help="why; kept on record")
            decision.add_argument(
                "--by", type=person, help="who decided it (default: your login name)"
            )
            decision.add_argument(
                "--dry-run", action="store_true", help="show the runs, and change nothing"
            )

    def handle(self, *, action: str, **options: Any) -> None:
        if action == "list":
            self._list()
        else:
            self._decide(action, options.pop("run"), **options)

    def _list(self) -> None:
        hour = HourOfGrants.objects.order_by("-hour").first()
        if hour is not None:
            self.stdout.write(
                f"{hour.reported:,} of {settings.GRANTS_AN_HOUR:,} grants reported in the hour "
                f"from {hour.hour:%Y-%m-%d %H:%M}Z"
            )
        runs = AnsweredRun.objects.order_by("-answered_at")
        latest = {run.run_id: run for run in runs[:LATEST]}
        latest |= {run.run_id: run for run in runs.waiting()[:LATEST]}
        for run in sorted(latest.values(), key=lambda run: run.answered_at, reverse=True):
            self.stdout.write(_line(run))
        if not latest:
            self.stdout.write("no runs yet")

    def _decide(
        self,
        action: str,
        runs: list[UUID],
        *,
        reason: str,
        by: str | None,
        dry_run: bool,
        **_: Any,
    ) -> None:
        if not dry_run:
            canaries.check()
        lines: list[str] = []
        refused: list[str] = []
        for run_id in dict.fromkeys(runs):
            try:
                if dry_run:
                    would = by_hand.ACTIONS[action]
                    lines.append(f"{_line(by_hand.check(run_id, action))}  would be {would}")
                else:
                    by_hand.decide(run_id, action, by=by, reason=reason)
                    lines.append(f"{run_id}  {by_hand.ACTIONS[action]}")
            except by_hand.NotPossible as error:
                refused.append(str(error))
        for line in lines:
            self.stdout.write(line)
        for why in refused:
            self.stderr.write(why)
        if dry_run:
            self.stdout.write("nothing was changed")
        if refused:
            raise CommandError(f"{len(refused)} of {len(runs)} runs were not changed")


def _line(run: AnsweredRun) -> str:
    count = run.waiting.all()[: MAX_COUNTED + 1].count()
    waiting = f"{count:,}" if count <= MAX_COUNTED else f">{MAX_COUNTED:,}"
    return (
        f"{run.run_id}  {run.answered_at:%Y-%m-%d %H:%M:%S}Z  paid from {run.since:%Y-%m-%d %H:%M}Z"
        f" until before {run.until:%Y-%m-%d %H:%M}Z  {waiting:>6} wait  {run.decision}".rstrip()
    )
