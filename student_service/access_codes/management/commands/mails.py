"""`manage.py mails list|finish|resend`: mails that did not simply arrive, and what operators do."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from admit_one.acts.who import login
from admit_one.processes.service_command import ServiceCommand
from admit_one.sealing import canaries
from django.core.management.base import CommandError
from django.db.models import Count

from access_codes.mails import by_hand
from access_codes.models import MailIntent

EXAMPLES = """
examples:
  manage.py mails list                         how many mails are in each state
  manage.py mails list --state unknown         the mails in that state, one a line
  manage.py mails finish ID --as sent --reason "she has it"
  manage.py mails finish ID --as failed --reason "the address was closed"
  manage.py mails resend ID ID --reason "the server's disk was full"

A mail that is finished as failed is reported to the payment service, and its API shows that.
A mail is resent with the same Message-ID.
"""
MOST_LINES = 100


class Command(ServiceCommand):
    help = "List mails by state; finish or resend those that did not simply arrive."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        actions = parser.add_subparsers(dest="action", required=True)
        shown = actions.add_parser("list", help="count mails by state, or list those in one state")
        shown.add_argument("--state", choices=MailIntent.State.values)
        finish = actions.add_parser("finish", help="record that mails arrived, or give them up")
        finish.add_argument(
            "--as",
            dest="as_state",
            required=True,
            choices=by_hand.FINISH,
            help="sent: it reached its recipient; failed: nobody will try again",
        )
        resend = actions.add_parser("resend", help="have mails sent again now")
        for decision in (finish, resend):
            decision.add_argument(
                "id", nargs="+", type=UUID, help="the id of a mail, as `list --state` shows it"
            )
            decision.add_argument("--reason", required=True, help="why; it is kept with the mail")
            decision.add_argument("--by", help="who decided it (default: your login name)")

    def handle(self, *, action: str, **options: Any) -> None:
        if action == "finish":
            as_state = options["as_state"]
            finish = partial(by_hand.finish, as_state=as_state)
            self._decide(finish, f"finished as {as_state}", **options)
        elif action == "resend":
            self._decide(by_hand.resend, "due again", **options)
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
        for mail in mails[:MOST_LINES]:
            due = f"due {mail.next_attempt_at:%m-%d %H:%M:%S}" if mail.next_attempt_at else ""
            self.stdout.write(
                f"{mail.id}  subscription {mail.access_code_id}  "
                f"{mail.attempts} attempts  {due}  {mail.last_error}".rstrip()
            )
        if (more := mails.count() - MOST_LINES) > 0:
            self.stdout.write(f"and {more:,} more")
        elif more == -MOST_LINES:
            self.stdout.write(f"no mail is {state}")

    def _decide(
        self,
        decide: Callable[..., None],
        done: str,
        *,
        id: list[UUID],  # noqa: A002 (the argument's name)
        reason: str,
        by: str | None,
        **_: Any,
    ) -> None:
        canaries.check()
        refused = 0
        for mail in id:
            try:
                decide(mail, by=by or login(), reason=reason)
            except by_hand.NotPossible as error:
                self.stderr.write(str(error))
                refused += 1
            else:
                self.stdout.write(f"{mail}  {done}")
        if refused:
            raise CommandError(f"{refused} of {len(id)} mails were left as they are")
