"""`manage.py why ID`: what happened to one subject here, and what it waits for."""

from __future__ import annotations

import json
import shutil
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from admit_one.messaging.why.explanation import explain
from admit_one.processes.service_command import ServiceCommand

EXAMPLES = """
examples:
  manage.py why 019b7c5e-29f8-7b52-8a41-0c9d3e7f2a10
  manage.py why ID --json           for programs

ID is the id of what events are about (such as a subscription), or of one such event.
Exit code: 0 finished, 1 something waits or is stuck, 2 not known here.
"""

WIDEST = 80


class Command(ServiceCommand):
    help = "Show what happened to one subject here, what it is waiting for, and what happens next."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        parser.add_argument("id", help="the id of what events are about, or of one such event")
        parser.add_argument(
            "--json", action="store_true", help="print one JSON object, for programs"
        )

    def handle(self, *, id: str, json: bool, **_: Any) -> None:  # noqa: A002 (the argument's name)
        known = explain(id)
        if json:
            self.stdout.write(_as_text(known.as_json()))
        else:
            for line in known.lines(min(shutil.get_terminal_size().columns, WIDEST)):
                self.stdout.write(self._styled(line))
        if known.standing:
            sys.exit(int(known.standing))

    def _styled(self, line: str) -> str:
        styles = {"Stuck": self.style.ERROR, "Waits": self.style.WARNING}
        if line.startswith("Finished"):
            return self.style.SUCCESS(line)
        return styles.get(line, str)(line)


def _as_text(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2)  # in ASCII: a subject may contain control characters
