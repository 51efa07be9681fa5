"""`manage.py set_aside …`: find, replay and close messages that could not be handled."""

from __future__ import annotations

import math
import time
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandError

from admit_one.acts.who import login, person
from admit_one.contract.errors import MessagingError
from admit_one.masking import harmless
from admit_one.messaging.models import SetAside
from admit_one.messaging.set_aside import groups, report
from admit_one.messaging.set_aside.groups import STATES, Choice
from admit_one.messaging.set_aside.operator_actions import NEED_A_REASON, OperatorActions
from admit_one.messaging.set_aside.replay_results import ReplayOrder
from admit_one.processes.service_command import ServiceCommand
from admit_one.processes.stopping import Stop

EXAMPLES = """
A message that cannot be handled is set aside: it is retried, and is dead once no retry is left.
A set-aside message that is dead is a dead letter.

examples:
  manage.py set_aside list                                set-aside messages, grouped by cause
  manage.py set_aside show 17                             everything known about one message
  manage.py set_aside replay --group 3f9a12 --dry-run     what a replay would do; changes nothing
  manage.py set_aside replay --all --dry-run --each       the same, with a line for each message
  manage.py set_aside replay --group 3f9a12               do it; run it again to continue
  manage.py set_aside replay 17 --again --reason "..."    apply a message that was handled before
  manage.py set_aside discard 17 18 --reason "..."        give them up; `restore` undoes it
  manage.py set_aside go-on --group 3f9a12 --reason "..." let a holding consumer set them aside

exit code: 0 everything is done, 1 something was left as it was or failed again, 2 wrong usage,
3 stopped before the end
"""

LARGEST = 2**63 - 1
"""The largest id that the database can store."""

STOPPED = 3
"""The exit code of work that was stopped before its end."""

LEAST_RATE = 0.001
"""Messages per second: a slower replay would look stuck."""

BAR = 30
"""Characters."""

REDRAW = 0.1
"""Seconds between two updates of the progress bar, so that drawing it does not slow the work."""


def number(text: str) -> int:
    """The number of a message. Raises `ArgumentTypeError`."""
    if not text.isdecimal() or len(text) > len(str(LARGEST)) or int(text) > LARGEST:
        raise ArgumentTypeError(f"expected the number of a message, got {text[:40]!r}")
    return int(text)


class Command(ServiceCommand):
    help = (
        "Find, understand, replay and close set-aside messages (dead letters, and those retrying)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        verbs = parser.add_subparsers(dest="action", required=True)
        listing = verbs.add_parser("list", help="list groups: messages that failed with one cause")
        listing.add_argument("--state", choices=SetAside.State.values)
        verbs.add_parser("show", help="show everything known about one message").add_argument(
            "id", type=number
        )
        replay = verbs.add_parser("replay", help="handle messages again now, in growing batches")
        replay.add_argument(
            "--rate", type=float, default=0, help="the most messages per second; 0: no limit"
        )
        replay.add_argument(
            "--again",
            action="store_true",
            help="also apply messages that were handled before; needs --reason",
        )
        replay.add_argument("--each", action="store_true", help="print a line for each message")
        discard = verbs.add_parser("discard", help="give up on messages; `restore` undoes it")
        restore = verbs.add_parser("restore", help="undo a discard: they are dead letters again")
        on = verbs.add_parser("go-on", help="for an hour, set messages aside instead of holding")
        on.add_argument("--group", required=True, help="the group, as `list` names it")
        for name, verb in {"replay": replay, "discard": discard, "restore": restore}.items():
            verb.add_argument("ids", nargs="*", type=number, metavar="ID")
            verb.add_argument("--group", help="all messages of this group, as `list` names it")
            verb.add_argument("--all", action="store_true", help="all of them, whatever the cause")
            verb.add_argument("--state", choices=STATES[name], help=f"default: {STATES[name][0]}")
            verb.add_argument(
                "--dry-run",
                action="store_true",
                help="print what would be done, and change nothing",
            )
        for verb in (replay, discard, restore, on):
            verb.add_argument("--reason", default="", help="why; it is kept forever")
            verb.add_argument("--by", default="", type=person, help="who; default: your login name")

    def handle(self, *, action: str, **given: Any) -> None:
        self._next_redraw = 0.0
        # `call_command` must not take over the signals of its caller's process.
        self._stop = Stop()
        if getattr(self, "_called_from_command_line", False):
            self._stop.on_signals(exit_code=STOPPED)
        try:
            self._run(action, given)
        except MessagingError as error:
            raise CommandError(str(error)) from None

    def _run(self, action: str, given: dict[str, Any]) -> None:
        if action == "list":
            shown = [group for group in groups.groups() if given["state"] in {None, group.state}]
            self._print(report.listed(shown) if shown else ["nothing is set aside"])
        elif action == "show":
            self._print(report.shown(Choice([given["id"]]).rows("replay").get()))
        else:
            self._order(action, given)

    def _order(self, verb: str, given: dict[str, Any]) -> None:
        again, rate = given.get("again", False), given.get("rate", 0.0)
        if rate != 0 and not LEAST_RATE <= rate < math.inf:
            expected = f"expected at least {LEAST_RATE} messages a second"
            raise CommandError(f"--rate: {expected}, got {rate}", returncode=2)
        if (again or verb in NEED_A_REASON) and not given["reason"].strip():
            what = "--again" if again else verb
            raise CommandError(f'{what} needs --reason "…": it is kept with the message forever')
        choice = _choice(verb, given)
        order = ReplayOrder(given["by"] or login(), given["reason"], again)
        actions = OperatorActions(order, self._watch, self._stop, rate, given.get("each", False))
        if not given.get("dry_run"):
            self._do(actions, verb, choice)
        elif verb == "replay":
            self._do(actions, "rehearse", choice)
        else:
            count = choice.rows(verb).count()
            self._print([f"would {verb} {count:,} messages; nothing has changed"])

    def _do(self, actions: OperatorActions, verb: str, choice: Choice) -> None:
        try:
            outcome = actions.do(verb, choice)
        finally:
            self.overwrite("")
        self._print(outcome.lines)
        if outcome.problem or outcome.left:
            raise CommandError(
                f"{outcome.problem or 'asked to stop'}: {outcome.left:,} messages are "
                "unchanged; run the same command again to continue with them",
                returncode=STOPPED,
            )
        if outcome.not_done and verb != "rehearse":
            raise CommandError(f"not done: {outcome.not_done:,}; `set_aside list` shows what waits")

    def _watch(self, done: int, total: int, what: str) -> bool:
        if time.monotonic() >= self._next_redraw:
            self._next_redraw = time.monotonic() + REDRAW
            bar = "#" * (BAR * done // total)
            self.overwrite(f"[{bar:.<{BAR}}] {done:,} of {total:,}, {what}")
        return not self._stop

    def _print(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.stdout.write(harmless(line))


def _choice(verb: str, given: dict[str, Any]) -> Choice:
    if verb == "go-on":
        return Choice(group=given["group"])
    if sum([bool(given["ids"]), given["group"] is not None, given["all"]]) != 1:
        raise CommandError(f"{verb} needs one of: ids, --group, --all", returncode=2)
    return Choice(given["ids"], given["group"], given["all"], given["state"])
