"""`manage.py mails list|settle`: mails that did not simply arrive, and what operators know."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any
from uuid import UUID

from admit_one.processes.service_command import ServiceCommand
from admit_one.sealing import canaries
from django.core.management.base import CommandError
from django.db.models import Count

from access_codes.mails import sending
from access_codes.models import MailIntent

EXAMPLES = """
examples:
  manage.py mails list                         how many there are in each state
  manage.py mails list --state unknown         those, one a line
  manage.py mails settle ID --as arrived --reason "she has it"
  manage.py mails settle ID ID --as send-again --reason "the server's disk was full"
"""
MOST_LINES = 100


class Command(ServiceCommand):
    help = "Mails by state, and what an operator knows of those in doubt."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        actions = parser.add_subparsers(dest="action", required=True)
        shown = actions.add_parser("list", help="counts by state, or the mails in one state")
        shown.add_argument("--state", choices=MailIntent.State.values)
        settle = actions.add_parser("settle", help="say what is to become of mails")
        settle.add_argument("id", nargs="+", type=UUID)
        settle.add_argument("--as", dest="settlement", required=True, choices=sending.SETTLEMENTS)
        settle.add_argument("--reason", required=True, help="kept with the mail")
        settle.add_argument("--by", default=None, help="who says so (default: your login name)")

    def handle(self, *, action: str, **options: Any) -> None:
        if action == "settle":
            self._settle(**options)
        elif options["state"]:
            self._list(options["state"])
        else:
            self._count()

    def _count(self) -> None:
        counts = dict(MailIntent.objects.values_list("state").annotate(Count("id")))
        for state in MailIntent.State:
            self.stdout.write(f"{state.value:10} {counts.get(state, 0):>9,}  {state.label}")

    def _list(self, state: str) -> None:
        mails = MailIntent.objects.filter(state=state).order_by("created_at")
        for found in mails[:MOST_LINES]:
            due = f"due {found.next_attempt_at:%m-%d %H:%M:%S}" if found.next_attempt_at else ""
            self.stdout.write(
                f"{found.id}  subscription {found.access_code_id}  "
                f"{found.attempts} attempts  {due}  {found.last_error}".rstrip()
            )
        if (more := mails.count() - MOST_LINES) > 0:
            self.stdout.write(f"and {more:,} more")
        elif more == -MOST_LINES:
            self.stdout.write(f"no mail is {state}")

    def _settle(self, id: list[UUID], settlement: str, reason: str, by: str, **_: Any) -> None:  # noqa: A002 (the argument's name)
        canaries.check()
        refused = 0
        for one in id:
            try:
                sending.settle_by_hand(one, settlement, by=by or getpass.getuser(), reason=reason)
            except sending.NotSettled as error:
                self.stderr.write(str(error))
                refused += 1
            else:
                self.stdout.write(f"{one}  {settlement}")
        if refused:
            raise CommandError(f"{refused} of {len(id)} mails were left as they are")
