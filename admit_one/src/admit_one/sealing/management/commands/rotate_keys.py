"""`manage.py rotate_keys`: re-seal everything with the keys in force."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from admit_one.acts.models import Act
from admit_one.acts.who import login
from admit_one.processes.service_command import ServiceCommand
from admit_one.sealing import rotation
from admit_one.sealing.cipher import active_key_id
from admit_one.sealing.keyring import Sealed
from admit_one.sealing.rotation_report import lines

EXAMPLES = """
Put a new key into SEALING_KEYS in two steps: first behind the old one, and, once every process
of the service has been restarted with it, in front. Then:

  manage.py rotate_keys --dry-run     count the rows by key; changes nothing
  manage.py rotate_keys               re-seals them, and reports which key may go

You can stop it and start it again, and the service keeps working meanwhile.
Exit code: 0 if everything is done, 1 if some rows are left.
"""


class Command(ServiceCommand):
    help = "Re-seal everything with the first of SEALING_KEYS, in small batches."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        parser.add_argument(
            "--dry-run", action="store_true", help="count the rows by key, and change nothing"
        )

    def handle(self, *, dry_run: bool, **_: Any) -> None:
        columns = rotation.survey(self._progress) if dry_run else rotation.rotate(self._progress)
        self._progress(None, 0)
        for line in lines(columns, dry_run=dry_run):
            self.stdout.write(line)
        left = any(column.unreadable or column.held for column in columns)
        if not dry_run:
            result = "rows left" if left else "done"
            active = active_key_id()
            Act.draft("keys", "rotate", by=login(), reason="", target=active, result=result).save()
        if left:
            sys.exit(1)

    def _progress(self, sealed: Sealed | None, rows: int) -> None:
        """One line that is written over, on a terminal only; nothing takes it away."""
        if self.stderr.isatty():
            text = f"{sealed}  {rows:,} rows" if sealed else ""
            self.stderr.write(f"\r\x1b[K{text}", ending="")
