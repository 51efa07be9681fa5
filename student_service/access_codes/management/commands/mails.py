"""`manage.py mails list|finish|resend|lift`: for operators, about mails that did not arrive."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from admit_one.acts.who import person
from admit_one.masking import harmless
from admit_one.processes import ServiceCommand
from admit_one.sealing import canaries
from django.core.management.base import CommandError
from django.db.models import QuerySet

from access_codes.mails import by_hand, writing
from access_codes.models import MailIntent

EXAMPLES = """
examples:
  manage.py mails list                         count the mails in each state
  manage.py mails list --state unknown         list the mails in that state
  manage.py mails list --stopped               list those after which their mailbox gets no more
  manage.py mails finish ID --as sent --reason "she has it"
  manage.py mails finish ID --as failed --reason "the address was closed"
  manage.py mails resend ID ID --reason "the server's disk was full"
  manage.py mails resend --state failed --error "quota" --from 2026-11-26T09:00 --dry-run \\
      --reason "the quota was raised"
  manage.py mails lift ID --reason "she reported it by mistake"

--error, --from and --to choose among the mails in one state: by a part of their last error, and by
the time (UTC) of their last attempt. With --dry-run nothing is changed.
If a mail is finished as failed, the payment service's API shows that.
A mail is resent with the same Message-ID.
After one that bounced or was reported as spam, its mailbox gets no more mails until you lift that.
"""
MAX_LINES = 100
MAX_COUNTED = 10_000
"""Mails of a state, at most: to count all that were ever sent would take longer every day."""


def utc(text: str) -> datetime:
    """A date or a date and time; in UTC unless it has an offset."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # an offset may lead out of the years 1 to 9999
        raise ArgumentTypeError(
            f"expected a date or time such as 2026-01-31T08:00, got {text!r}"
        ) from None


class Command(ServiceCommand):
    help = "List mails by state; finish or resend those that failed, or whose result is unknown."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        actions = parser.add_subparsers(dest="action", required=True)
        shown = actions.add_parser("list", help="count mails by state, or list those in one state")
        shown.add_argument("--state", choices=MailIntent.State.values)
        shown.add_argument(
            "--stopped",
            action="store_true",
            help="list the mails that bounced or were reported as spam, and were not lifted",
        )
        finish = actions.add_parser("finish", help="record that mails arrived, or give up on them")
        finish.add_argument(
            "--as",
            dest="as_state",
            required=True,
            choices=by_hand.FINISH,
            help="sent: it reached its recipient; failed: do not send it again",
        )
        resend = actions.add_parser("resend", help="send mails again now")
        lift = actions.add_parser("lift", help="let mails go to the mailboxes of mails again")
        lift.add_argument("id", nargs="+", type=UUID, help="as `list --stopped` shows it")
        lift.set_defaults(state=None, error="", since=None, until=None, dry_run=False)
        for decision in (finish, resend, lift):
            decision.add_argument("--reason", required=True, help="why; kept with the mail")
            decision.add_argument(
                "--by", type=person, help="who decided it (default: your login name)"
            )
        for decision in (finish, resend):
            decision.add_argument(
                "id", nargs="*", type=UUID, help="the id of a mail, as `list --state` shows it"
            )
            states = by_hand.RESEND if decision is resend else MailIntent.State
            decision.add_argument(
                "--state", choices=[each.value for each in states], help="all mails in this state"
            )
            decision.add_argument(
                "--dry-run", action="store_true", help="list the mails, and change nothing"
            )
        for action in (shown, finish, resend):
            action.add_argument("--error", default="", help="a part of their last error")
            action.add_argument(
                "--from", dest="since", type=utc, help="tried at this time or later"
            )
            action.add_argument("--to", dest="until", type=utc, help="last tried before this time")

    def handle(self, *, action: str, **options: Any) -> None:
        self._refuse_half_a_choice(action, **options)
        if action == "finish":
            as_state = options["as_state"]
            finish = partial(by_hand.finish, as_state=as_state)
            self._decide(finish, f"finished as {as_state}", **options)
        elif action == "resend":
            self._decide(by_hand.resend, "due again", **options)
        elif action == "lift":
            self._decide(by_hand.lift, "lifted", **options)
        elif options["stopped"]:
            self._list(MailIntent.objects.stopping(), "no mailbox is stopped")
        elif options["state"]:
            self._list(_chosen(**options), f"no mail is {options['state']}")
        else:
            self._count()

    def _refuse_half_a_choice(self, action: str, **options: Any) -> None:
        narrowed = any(options[name] for name in ("error", "since", "until"))
        if narrowed and not options["state"]:
            raise CommandError("--error, --from and --to need --state")
        if action != "list" and bool(options["id"]) == bool(options["state"]):
            raise CommandError("expected either ids of mails or --state")

    def _count(self) -> None:
        for state in MailIntent.State:
            count = MailIntent.objects.in_state(state)[: MAX_COUNTED + 1].count()
            self.stdout.write(f"{state.value:10} {_shown(count):>9}  {state.label}")
        count = MailIntent.objects.stopping()[: MAX_COUNTED + 1].count()
        text = "bounced or reported as spam: no more mails to their mailboxes"
        self.stdout.write(f"{'stopped':10} {_shown(count):>9}  {text}")

    def _list(self, mails: QuerySet[MailIntent], none: str) -> None:
        for mail in mails[:MAX_LINES]:
            due = f"due {mail.next_attempt_at:%m-%d %H:%M:%S}" if mail.next_attempt_at else ""
            self.stdout.write(
                f"{mail.id}  {mail.kind}  subscription {mail.access_code_id}  "
                f"{mail.attempts} attempts  {due}  {mail.reported}  "
                f"{harmless(mail.last_error)}".rstrip()
            )
        count = mails[: MAX_COUNTED + 1].count()
        if count > MAX_COUNTED:
            self.stdout.write("and many more")
        elif count > MAX_LINES:
            self.stdout.write(f"and {count - MAX_LINES:,} more")
        elif not count:
            self.stdout.write(none)

    def _decide(
        self,
        decide: Callable[..., None],
        done: str,
        *,
        id: list[UUID],  # noqa: A002 (the argument's name)
        reason: str,
        by: str | None,
        dry_run: bool,
        **options: Any,
    ) -> None:
        mails = MailIntent.objects.filter(pk__in=id) if id else _chosen(**options)
        if dry_run:
            self._list(mails, "no mail is chosen")
            self.stdout.write(f"{mails.count():,} mails would be {done}; nothing was changed")
            return
        canaries.check()
        ids = id or list(mails.values_list("pk", flat=True))
        refused: list[str] = []
        decided: list[UUID] = []
        try:
            for mail in ids:
                try:
                    decide(mail, by=by, reason=reason)
                except by_hand.NotPossible as error:
                    refused.append(str(error))
                else:
                    decided.append(mail)
        finally:  # printed afterwards: a terminal that is closed must not stop the work half-way
            if decided:
                writing.wake_worker()
            for mail in decided if id else ():
                self.stdout.write(f"{mail}  {done}")
            for why in refused:
                self.stderr.write(why)
        if not id:
            self.stdout.write(f"{len(decided):,} mails {done}")
        if refused:
            raise CommandError(f"{len(refused)} of {len(ids)} mails were not changed")


def _chosen(
    *, state: str, error: str, since: datetime | None, until: datetime | None, **_: Any
) -> QuerySet[MailIntent]:
    return by_hand.chosen(state, error=error, since=since, until=until)


def _shown(count: int) -> str:
    return f"{count:,}" if count <= MAX_COUNTED else f">{MAX_COUNTED:,}"
