"""`manage.py access_code show|suspend|reinstate|revoke|replace|resend`: for operators."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

from admit_one.acts.who import person
from admit_one.contract.fields import mailable
from admit_one.processes import ServiceCommand
from admit_one.sealing import canaries
from django.core.management.base import CommandError
from django.db import transaction

from access_codes import admission, operating
from access_codes.models import AccessCode, access_id, parse_access_id
from access_codes.serializers.codes import shown

EXAMPLES = """
examples:
  manage.py access_code show SUBSCRIPTION          the code that works now, masked
  manage.py access_code show ID                    one code; an ID is SUBSCRIPTION.NUMBER
  manage.py access_code suspend ID --reason "chargeback"
  manage.py access_code reinstate ID --reason "paid after all"
  manage.py access_code revoke ID ID --reason "fraud"
  manage.py access_code replace ID --reason "she posted it in a forum" --dry-run
  manage.py access_code resend ID --reason "the address had a typing error" --email ada@example.org

`replace` issues another code and mails it; the old one lets in nobody any more. `resend` mails the
same code again, at most three times a day. Each is on record, and all but `resend` change nothing
if they are done again. With --dry-run nothing is changed.
"""

DONE: dict[str, tuple[Callable[..., AccessCode], str, str]] = {
    "suspend": (operating.suspend, "suspended", "let in nobody until it is reinstated"),
    "reinstate": (operating.reinstate, "reinstated", "lift a suspension by an operator"),
    "revoke": (operating.revoke, "revoked", "let in nobody any more, for good"),
    "replace": (operating.replace, "replaced", "issue another code instead, and mail it"),
    "resend": (operating.resend, "to be mailed again", "mail the same code again"),
}
"""By its name: the act, what it has done, and what it does."""


class AccessId(NamedTuple):
    subscription_id: UUID
    generation: int

    def __str__(self) -> str:
        return access_id(*self)


def access(text: str) -> AccessId:
    """An access id. What was given may be a code, so it is not repeated."""
    try:
        return AccessId(*parse_access_id(text))
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def access_or_subscription(text: str) -> AccessId | UUID:
    """An access id, or the id of a subscription."""
    try:
        return UUID(text)
    except ValueError:
        return access(text)


def address(text: str) -> str:
    """One mail address. It is not repeated."""
    try:
        mailable(text)
    except ValueError:
        raise ArgumentTypeError("expected one mail address, such as ada@example.com") from None
    return text


class Command(ServiceCommand):
    help = "Show a code; suspend, reinstate, revoke or replace it, or mail it again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        actions = parser.add_subparsers(dest="action", required=True)
        show = actions.add_parser("show", help="show one code, masked")
        show.add_argument(
            "id", type=access_or_subscription, help="the id of a code or of its subscription"
        )
        for name, (_, _, does) in DONE.items():
            act = actions.add_parser(name, help=does)
            act.add_argument("id", nargs="+", type=access, help="the id of a code: see `show`")
            act.add_argument("--reason", required=True, help="why; kept on record")
            act.add_argument("--by", type=person, help="who decided it (default: your login name)")
            act.add_argument(
                "--dry-run", action="store_true", help="say what would happen, and change nothing"
            )
            if name == "resend":
                act.add_argument(
                    "--email", type=address, help="a corrected address, also for later mails"
                )

    def handle(self, *, action: str, **options: Any) -> None:
        if action == "show":
            self._show(options["id"])
        else:
            self._act(action, **options)

    def _show(self, given: AccessId | UUID) -> None:
        subscription_id = given if isinstance(given, UUID) else given.subscription_id
        row = admission.with_state().filter(pk=subscription_id).first()
        if row is None:
            raise CommandError(f"there is no code {given}")
        generation = row.generation if isinstance(given, UUID) else given.generation
        if generation > row.generation:
            raise CommandError(f"there is no code {given}")
        for name, value in shown(row, generation).items():
            if value is not None:
                self.stdout.write(f"{name:16} {value}")
        for act in operating.acts_on(subscription_id):
            why = f": {act.reason}" if act.reason else ""
            self.stdout.write(f"{act.action:16} {act.at:%Y-%m-%d %H:%M:%S} by {act.by}{why}")

    def _act(
        self,
        action: str,
        *,
        id: list[AccessId],  # noqa: A002 (the argument's name)
        reason: str,
        by: str | None,
        dry_run: bool,
        email: str | None = None,
        **_: Any,
    ) -> None:
        if not dry_run:
            canaries.check()
        act, done = DONE[action][:2]
        more: dict[str, Any] = {} if email is None else {"email": email}
        refused: list[str] = []
        lines: list[str] = []
        for code in dict.fromkeys(id):
            try:
                with transaction.atomic():
                    row = act(*code, by=by, reason=reason, **more)
                    transaction.set_rollback(dry_run)
                now = f"  the code that works now is {row.access_id}" if action == "replace" else ""
                lines.append(f"{code}  would be {done}" if dry_run else f"{code}  {done}{now}")
            except operating.NotPossible as error:
                refused.append(str(error))
        for line in lines:
            self.stdout.write(line)
        for why in refused:
            self.stderr.write(why)
        if dry_run:
            self.stdout.write("nothing was changed")
        if refused:
            raise CommandError(f"{len(refused)} of {len(id)} codes were not changed")
