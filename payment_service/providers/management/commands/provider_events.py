"""`manage.py provider_events list|show|retry|close`: what payment providers have reported."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from admit_one.acts.models import Act
from admit_one.acts.who import person
from admit_one.masking import harmless
from admit_one.processes import ServiceCommand
from admit_one.sealing import canaries
from django.core.management.base import CommandError

from providers import by_hand
from providers.models import AREA, OPEN, ProviderEvent
from providers.recording import NEEDED

EXAMPLES = """
examples:
  manage.py provider_events list                        count the events in each state
  manage.py provider_events list --state unmatched      list the events in that state
  manage.py provider_events show ID                     everything known about one, without its body
  manage.py provider_events retry ID --reason "the plan was missing" --plan gold
  manage.py provider_events retry --state failed --reason "upgraded" --dry-run
  manage.py provider_events close ID --reason "another product of ours"

An event is unmatched as long as it finds no subscription, or lacks something for one. What it waits
for is handled by itself once it comes. With --dry-run nothing is changed. Each retry and each close
is on record.

exit code: 0 every chosen event is handled, ignored or closed; 1 some are still open, or could not
be changed; 2 wrong usage
"""
MAX_LINES = 100
MAX_COUNTED = 10_000
"""Events of a state, at most: to count all of them would take longer every day."""


class Command(ServiceCommand):
    help = "List and show what payment providers have reported; try events again, or close them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="count events by state, or list those in one")
        listing.add_argument("--state", choices=ProviderEvent.State.values)
        show = actions.add_parser("show", help="show everything known about one event")
        show.add_argument("id", type=UUID, help="its id, as `list --state` shows it")
        retry = actions.add_parser("retry", help="handle open events again now")
        for name in NEEDED:
            retry.add_argument(
                f"--{name.replace('_', '-')}", help=f"the {name} that a single checkout lacks"
            )
        close = actions.add_parser("close", help="end open events that nobody will handle")
        for decision in (retry, close):
            decision.add_argument("id", nargs="*", type=UUID)
            decision.add_argument("--state", choices=[state.value for state in OPEN])
            decision.add_argument("--reason", required=True, help="why; kept forever")
            decision.add_argument("--by", type=person, help="who (default: your login name)")
            decision.add_argument(
                "--dry-run", action="store_true", help="list the events, and change nothing"
            )

    def handle(self, *, action: str, **options: Any) -> None:
        match action:
            case "list" if options["state"] is None:
                self._count()
            case "list":
                self._print(_listed(options["state"]))
            case "show":
                self._print(_shown(options["id"]))
            case _:
                self._decide(action, **options)

    def _count(self) -> None:
        for state in ProviderEvent.State:
            # In the order of an index: else PostgreSQL may read all others on its way.
            count = ProviderEvent.objects.listed(state)[: MAX_COUNTED + 1].count()
            shown = f"{count:,}" if count <= MAX_COUNTED else f">{MAX_COUNTED:,}"
            self.stdout.write(f"{state.value:10} {shown:>9}  {state.label}")

    def _decide(self, action: str, **options: Any) -> None:
        ids: list[UUID] = options["id"]
        given = {name: value for name in NEEDED if (value := options.get(name)) is not None}
        if bool(ids) == bool(options["state"]):
            raise CommandError("expected either ids of events or --state", returncode=2)
        if given and len(ids) != 1:
            raise CommandError("expected one id with --plan, --user-id or --email", returncode=2)
        if not ids:
            rows = ProviderEvent.objects.listed(options["state"])
            ids = list(rows.values_list("id", flat=True)[:MAX_COUNTED])
        if options["dry_run"]:
            self._print(_line(row) for row in ProviderEvent.objects.filter(id__in=ids)[:MAX_LINES])
            self.stdout.write(f"would {action} {len(ids):,} events; nothing was changed")
            return
        canaries.check()
        left = [why for row_id in ids if (why := self._do(action, row_id, given, options))]
        if left:
            raise CommandError(f"{len(left)} of {len(ids)} events are still open or unchanged")

    def _do(self, action: str, row_id: UUID, given: dict[str, str], options: dict[str, Any]) -> str:
        """Do it to one event; returns why it is still as it was, if so."""
        who = {"by": options["by"], "reason": options["reason"]}
        try:
            if action == "close":
                row = by_hand.close(row_id, **who)
            else:
                row = by_hand.retry(row_id, given=given, **who)
        except by_hand.NotPossible as error:
            self.stderr.write(str(error))
            return str(error)
        self._print([_line(row)])
        return row.state if row.state in OPEN else ""

    def _print(self, lines: Any) -> None:
        for line in lines:
            self.stdout.write(harmless(line))


def _listed(state: str) -> Iterator[str]:
    rows = list(ProviderEvent.objects.listed(state)[: MAX_LINES + 1])
    yield from (_line(row) for row in rows[:MAX_LINES])
    if len(rows) > MAX_LINES:
        yield "and more"
    if not rows:
        yield f"no event is {state}"


def _line(row: ProviderEvent) -> str:
    money = "" if row.amount is None else f"  {row.amount} {row.currency}"
    test = "  test" if row.test else ""
    why = f"  {row.reason}" if row.reason else ""
    return f"{row.id}  {row.type}{test}{money}  {row.state}{why}"


def _shown(row_id: UUID) -> Iterator[str]:
    row = ProviderEvent.objects.filter(pk=row_id).first()
    if row is None:
        raise CommandError(f"there is no event {row_id}")
    yield _line(row)
    yield f"event         {row.event_id} of {row.provider}, made at {row.created_at:%F %T}Z"
    yield f"received      {row.received_at:%F %T}Z"
    if row.handled_at is not None:
        yield f"ended         {row.handled_at:%F %T}Z"
    if row.state in OPEN and row.waits_for:
        yield f"waits for     another event that says which subscription {row.waits_for} is"
    if row.subscription_id is not None:
        yield f"subscription  {row.subscription_id}: `manage.py why {row.subscription_id}`"
    yield f"body          {'is kept, sealed' if row.body is not None else 'is not kept'}"
    for act in Act.objects.filter(area=AREA, target=str(row_id)).order_by("id"):
        yield f"{act.action:13} {act.at:%F %T}Z by {act.by}: {act.reason} ({act.result})"
