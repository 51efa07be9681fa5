"""Pruning by hand; Celery does the same on schedule."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from admit_one.messaging import retention
from admit_one.processes.service_command import ServiceCommand


class Command(ServiceCommand):
    help = (
        "Delete finished messages past their retention (OUTBOX_DAYS, INBOX_DAYS, SET_ASIDE_DAYS). "
        "Unsent events, and messages that are retrying or dead, are never deleted."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="count them, and delete nothing")

    def handle(self, *, dry_run: bool, **_: Any) -> None:
        for table, count in retention.prune(dry_run=dry_run).items():
            done = "would be deleted" if dry_run else "deleted"
            self.stdout.write(f"{table:10} {count:>9,} {done}")
