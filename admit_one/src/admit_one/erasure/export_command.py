"""`manage.py export_person` of a service."""

from __future__ import annotations

import os
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from uuid_utils.compat import uuid7

from admit_one.acts.models import Act
from admit_one.acts.who import person
from admit_one.processes import ServiceCommand

from . import choosing, exporting
from .erasing import AREA

EXAMPLES = """
examples:
  manage.py export_person --user-id user-42 --to person.json
  manage.py export_person --email ada@example.com --email ada@example.org > person.json
  manage.py export_person --subscription ID --codes --to person.json

One JSON document with everything that this service keeps about the person, in clear; the other
service has its own. Codes are masked, except with --codes. The file must not exist yet; only you
can read it. That somebody has exported it is on record, with ids only.
"""
ONLY_ME = 0o600


class ExportCommand(ServiceCommand):
    help = "Export everything that this service keeps about a person, as JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        choosing.add_arguments(parser)
        parser.add_argument(
            "--to", type=Path, metavar="FILE", help="a new file (default: standard output)"
        )
        parser.add_argument("--codes", action="store_true", help="with whole codes")
        parser.add_argument("--by", type=person, help="who decided it (default: your login name)")

    def handle(self, *, to: Path | None, codes: bool, by: str | None, **named: Any) -> None:
        chosen = choosing.chosen(**named)
        for remark in (*chosen.remarks, *choosing.unopened(), *choosing.unsearched()):
            self.stderr.write(remark)
        chosen.check()
        subjects = chosen.subjects
        unassigned = list(chosen.unassigned)
        text = exporting.written(exporting.document(subjects, unassigned), codes=codes)
        facts: dict[str, Any] = {"subjects": subjects, "codes": codes}
        if unassigned:
            facts["unassigned"] = unassigned
        # On record first: what is printed is out.
        act = Act.draft(AREA, "export", by=by, target=uuid7(), facts=facts, result="done")
        if to is None:
            act.save()
            self.stdout.write(text, ending="")
            return
        try:
            file = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, ONLY_ME)
        except OSError as error:
            raise CommandError(f"{to}: {error.strerror}; expected a new file") from None
        act.save()
        with os.fdopen(file, "w", encoding="utf-8") as out:
            out.write(text)
        self.stdout.write(f"{chosen.counted()} exported to {to}")
