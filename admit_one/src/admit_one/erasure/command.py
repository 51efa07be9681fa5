"""`manage.py erase_person begin|show` of a service."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError
from django.db.models import QuerySet
from uuid_utils.compat import uuid7

from admit_one.acts.who import person
from admit_one.messaging.tombstones import Tombstone
from admit_one.processes import ServiceCommand
from admit_one.sealing import canaries

from . import choosing, erasing
from .definition import definition

EXAMPLES = """
examples:
  manage.py erase_person begin --user-id user-42 --dry-run      whose data it is, by ids
  manage.py erase_person begin --user-id user-42                erase it on both sides
  manage.py erase_person begin --email ada@example.com --email ada@example.org
  manage.py erase_person begin --subscription ID --subscription ID --active
  manage.py erase_person show                                   the latest erasures
  manage.py erase_person show ID                                one, by its id or a subscription's

Erasing cannot be undone. It revokes the codes; a subscription that is still active is cancelled,
but only with --active. The other side is asked to erase the same subscriptions, again and again
until it answers. With --dry-run nothing is changed.

exit codes: 0 done, 1 refused, or not erased on both sides yet, 2 wrong usage
"""
LATEST = 20
MAX_LINES = 100
WAITS = 1


class EraseCommand(ServiceCommand):
    help = "Erase what is kept about a person, here and on the other side."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        actions = parser.add_subparsers(dest="action", required=True)
        begin = actions.add_parser("begin", help="erase a person, for good")
        choosing.add_arguments(begin)
        begin.add_argument(
            "--active", action="store_true", help="also what is still active: it is cancelled"
        )
        begin.add_argument("--by", type=person, help="who decided it (default: your login name)")
        begin.add_argument(
            "--dry-run", action="store_true", help="show what would be erased, and change nothing"
        )
        show = actions.add_parser("show", help="show what came of erasures")
        show.add_argument("id", nargs="?", type=UUID, help="an erasure's, or a subscription's")

    def handle(self, *, action: str, **options: Any) -> None:
        if action == "show":
            self._show(options["id"])
        else:
            self._begin(**options)

    def _begin(
        self,
        *,
        user_id: Sequence[str],
        email: Sequence[str],
        subscription: Sequence[UUID],
        active: bool,
        by: str | None,
        dry_run: bool,
        **_: Any,
    ) -> None:
        subjects = choosing.chosen(user_id, email, subscription)
        erased = set(
            Tombstone.objects.filter(subject__in=subjects, erased_at__isnull=False).values_list(
                "subject", flat=True
            )
        )
        still_active = definition().active(subjects)
        for subject in subjects:
            state = "erased already" if subject in erased else ""
            self.stdout.write(
                f"{subject}  {state or ('active' if subject in still_active else '')}".rstrip()
            )
        left = [subject for subject in subjects if subject not in erased]
        if still_active and not active:
            raise CommandError(
                f"{len(still_active)} of {len(subjects)} subscriptions are active: cancel them "
                "first, or give --active; nothing was changed"
            )
        if dry_run:
            self.stdout.write(f"{len(left)} subscriptions would be erased; nothing was changed")
            return
        if not left:
            self.stdout.write("there is nothing left to erase")
            return
        canaries.check()
        erasure_id = uuid7()
        erasing.begin(left, erasure_id, by=by)
        self.stdout.write(f"{len(left)} subscriptions erased; the other side is asked to, as well")
        self.stdout.write(f"next  manage.py erase_person show {erasure_id}")

    def _show(self, given: UUID | None) -> None:
        stones = Tombstone.objects.order_by("-created_at", "subject")
        if given is None:
            self._list(stones[:LATEST])
            return
        named = stones.filter(erasure_id=given) | stones.filter(subject=str(given))
        if not named.exists():
            raise CommandError(f"no erasure {given}, and no erased subscription", returncode=2)
        self._list(named[:MAX_LINES])
        self._end(named)

    def _list(self, stones: QuerySet[Tombstone]) -> None:
        for stone in stones:
            self.stdout.write(f"{stone.erasure_id}  {stone.subject}  {_came_of(stone)}")
        if not stones:
            self.stdout.write("nobody was erased yet")

    def _end(self, stones: QuerySet[Tombstone]) -> None:
        here = stones.filter(erased_at__isnull=True).count()
        there = stones.filter(next_request_at__isnull=False).count()
        self.stdout.write(
            f"{stones.count()} subscriptions; {here} still to erase here, {there} on the other side"
        )
        self.stdout.flush()
        if here or there:
            sys.exit(WAITS)


def _came_of(stone: Tombstone) -> str:
    if stone.erased_at is None:
        return "is erased here within a minute"
    here = f"erased {stone.erased_at:%Y-%m-%d %H:%M:%S}Z"
    if stone.answered_at is not None:
        return f"{here}, on the other side by {stone.answered_at:%Y-%m-%d %H:%M:%S}Z"
    if stone.next_request_at is not None:
        times = "once" if stone.requests == 1 else f"{stone.requests} times"
        return (
            f"{here}, the other side was asked {times}, next {stone.next_request_at:%m-%d %H:%M}Z"
        )
    return f"{here}, as the other side had asked"
