"""A look at the messages that could not be handled."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Count, Max, Min

from ...models import SetAside


class Command(BaseCommand):
    help = "Messages that could not be handled: `list` groups them, `show ID` tells all of one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="groups with their counts, oldest and an example")
        actions.add_parser("show", help="one message").add_argument("id", type=int)

    def handle(self, *, action: str, **options: Any) -> None:
        if action == "list":
            self._list()
        else:
            self._show(options["id"])

    def _list(self) -> None:
        groups = (
            SetAside.objects.values("state", "fingerprint")
            .annotate(count=Count("id"), oldest=Min("created_at"), example=Max("id"))
            .order_by("state", "-count")
        )
        if not groups:
            self.stdout.write("nothing is set aside")
        for g in groups:
            self.stdout.write(
                f"{g['state']:9} {g['count']:>6}  since {g['oldest']:%Y-%m-%d %H:%M}  "
                f"{g['fingerprint']}  (set_aside show {g['example']})"
            )

    def _show(self, row_id: int) -> None:
        row = SetAside.objects.filter(id=row_id).first()
        if row is None:
            raise CommandError(f"no message {row_id}; `set_aside list` shows which there are")
        due = f"{row.next_attempt_at:%Y-%m-%d %H:%M:%S}" if row.next_attempt_at else "not by itself"
        facts = {
            "state": row.state + (" (may have ended its consumer)" if row.suspect else ""),
            "event": f"{row.type or 'unreadable'} {row.event_id} from {row.source or '?'}",
            "about": row.subject or "?",
            "queue": row.queue,
            "reason": f"{row.error}: {row.reason}",
            "attempts": row.attempts,
            "next try": due,
            "headers": row.headers,
        }
        for name, value in facts.items():
            self.stdout.write(f"{name:9} {value}")
        for entry in row.history:
            self.stdout.write(f"  {entry.pop('at')}  " + "  ".join(entry.values()))
        if row.traceback:
            self.stdout.write(row.traceback)
