"""`manage.py set_aside …`: messages that could not be handled, from the alarm to closed."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import CommandError

from admit_one.acts.who import login
from admit_one.messaging.models import SetAside
from admit_one.messaging.set_aside.choice import STATES, Choice, NoSuchMessage
from admit_one.messaging.set_aside.desk import Desk, Unfinished
from admit_one.messaging.set_aside.groups import NoSuchGroup
from admit_one.messaging.set_aside.replay import Order
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
  manage.py set_aside replay --group 3f9a12               do it; the same command goes on if stopped
  manage.py set_aside replay 17 --again --reason "..."    apply one that was handled before
  manage.py set_aside discard 17 18 --reason "..."        give them up; `restore` takes them back
  manage.py set_aside go-on --group 3f9a12 --reason "..." let a consumer that holds set them aside

exit code: 0 everything is done, 1 something was left as it was or failed again, 2 wrong usage,
3 a replay stopped before its end
"""


class Command(ServiceCommand):
    help = (
        "Find, understand, replay and close set-aside messages (dead letters, and those retrying)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        verbs = parser.add_subparsers(dest="action", required=True)
        listing = verbs.add_parser("list", help="list groups with one cause: how many, since when")
        listing.add_argument("--state", choices=SetAside.State.values)
        verbs.add_parser("show", help="show everything known about one message").add_argument(
            "id", type=int
        )
        replay = verbs.add_parser("replay", help="handle messages now, in growing batches")
        replay.add_argument(
            "--rate", type=float, default=0, help="messages a second at most; 0: no limit"
        )
        replay.add_argument(
            "--again",
            action="store_true",
            help="also apply what was handled before; needs --reason",
        )
        replay.add_argument("--each", action="store_true", help="print a line for each message")
        discard = verbs.add_parser("discard", help="give messages up; they stay readable")
        restore = verbs.add_parser("restore", help="undo a discard: they are dead letters again")
        on = verbs.add_parser("go-on", help="let the consumer set aside what it holds, for an hour")
        on.add_argument("--group", required=True, help="the cause, as `list` names it")
        for name, verb in {"replay": replay, "discard": discard, "restore": restore}.items():
            verb.add_argument("ids", nargs="*", type=int, metavar="ID")
            verb.add_argument("--group", help="all with this cause, as `list` names it")
            verb.add_argument("--all", action="store_true", help="all of them, whatever the cause")
            verb.add_argument("--state", choices=STATES[name], help=f"default: {STATES[name][0]}")
            verb.add_argument(
                "--dry-run",
                action="store_true",
                help="report what would be done, and change nothing",
            )
        for verb in (replay, discard, restore, on):
            verb.add_argument("--reason", default="", help="why; kept for ever")
            verb.add_argument("--by", default="", help="who; default: your login name")

    def handle(self, *, action: str, **options: Any) -> None:
        desk = Desk(self.stdout, sys.stderr, self._stop(), each=options.get("each", False))
        try:
            self._run(desk, action, options)
        except Unfinished as error:
            raise CommandError(str(error), returncode=error.exit_code) from None
        except (NoSuchGroup, NoSuchMessage) as error:
            raise CommandError(str(error)) from None

    def _run(self, desk: Desk, action: str, given: dict[str, Any]) -> None:
        if action == "list":
            desk.groups(given["state"])
            return
        if action == "show":
            desk.show(given["id"])
            return
        order = Order(given["by"] or login(), given["reason"], given.get("again", False))
        if action == "go-on":
            desk.go_on(given["group"], order)
            return
        choice = _choice(action, given)
        if action == "replay":
            desk.replay(choice, order, rate=given["rate"], dry_run=given["dry_run"])
        else:
            close = desk.discard if action == "discard" else desk.restore
            close(choice, order, dry_run=given["dry_run"])

    def _stop(self) -> Stop:
        """Signals are for processes of our own, not for whoever calls this as a function."""
        stop = Stop()
        return stop.on_signals() if getattr(self, "_called_from_command_line", False) else stop


def _choice(verb: str, given: dict[str, Any]) -> Choice:
    if sum([bool(given["ids"]), given["group"] is not None, given["all"]]) != 1:
        raise Unfinished(f"{verb} needs one of: ids, --group, --all", exit_code=2)
    return Choice(given["ids"], given["group"], given["all"], given["state"])
