"""`manage.py erase_person begin|show|request-again` of a service."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError
from django.db.models import QuerySet
from uuid_utils.compat import uuid7

from admit_one.acts.who import person
from admit_one.messaging.tombstones import Tombstone
from admit_one.processes import ServiceCommand
from admit_one.sealing import canaries

from . import choosing, erasing, requests
from .choosing import Chosen
from .definition import definition

EXAMPLES = """
examples:
  manage.py erase_person begin --user-id user-42 --dry-run      whose data it is, by ids
  manage.py erase_person begin --user-id user-42                erase it on both sides
  manage.py erase_person begin --email ada@example.com --email ada@example.org
  manage.py erase_person begin --subscription ID --subscription ID --active
  manage.py erase_person begin --subscription ID --again        what no key opened before
  manage.py erase_person show                                   the latest erasures
  manage.py erase_person show ID                                one, by its id or a subscription's
  manage.py erase_person request-again                              the other side was restored

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
            "--active",
            action="store_true",
            help="also what is still active, which is cancelled, and what is not handled yet",
        )
        begin.add_argument(
            "--again",
            action="store_true",
            help="also what is erased already: what could not be opened then, because its key was "
            "not in SEALING_KEYS, is erased now",
        )
        begin.add_argument("--by", type=person, help="who decided it (default: your login name)")
        begin.add_argument(
            "--dry-run", action="store_true", help="show what would be erased, and change nothing"
        )
        show = actions.add_parser("show", help="show what came of erasures")
        show.add_argument("id", nargs="?", type=UUID, help="an erasure's, or a subscription's")

        repeat = actions.add_parser(
            "request-again",
            help="request all that is erased here again of the other side, after it was restored",
        )
        repeat.add_argument(
            "--since",
            type=_time,
            metavar="TIME",
            help="only what was erased since then, such as 2026-11-01 or 2026-11-01T12:00Z",
        )

    def handle(self, *, action: str, **options: Any) -> None:
        if action == "show":
            self._show(options["id"])
        elif action == "request-again":
            self._request_again(options["since"])
        else:
            self._begin(**options)

    def _begin(
        self, *, active: bool, again: bool, by: str | None, dry_run: bool, **named: Any
    ) -> None:
        chosen = choosing.chosen(**named)
        erased = _erased(chosen.subjects)
        left = [subject for subject in chosen.subjects if again or subject not in erased]
        still_active = definition().active([each for each in left if each not in erased])
        self._describe(chosen, erased, still_active)
        chosen.check()
        if not active:
            _check_ended(chosen, still_active)
        if dry_run:
            self.stdout.write(f"{chosen.counted(left)} would be erased; nothing was changed")
            return
        if not left and not chosen.unassigned:
            self.stdout.write("there is nothing left to erase")
            return
        canaries.check()
        self._erase(chosen, left, by=by, again=again)

    def _erase(self, chosen: Chosen, left: list[str], *, by: str | None, again: bool) -> None:
        # First, because the names of an erased subject find nothing any more.
        unassigned = definition().unassigned
        assigned = unassigned.erase(list(chosen.unassigned), by)
        if chosen.unassigned:
            done = len(chosen.unassigned) - len(assigned)
            self.stdout.write(f"{done} {unassigned.called}s erased")
        if left:
            erasing.begin(left, uuid7(), by=by, again=again)
            how = " again, here only" if again else "; the other side is asked to, as well"
            self.stdout.write(f"{len(left)} subscriptions erased{how}")
        for remark in choosing.unopened():
            self.stdout.write(f"{remark}; once it is, erase again with --again")
        for remark in choosing.unsearched():
            self.stdout.write(remark)
        # Not always the one that was begun: the other side may have asked for some of them before.
        for erasure_id in _erasures(left):
            self.stdout.write(f"next  manage.py erase_person show {erasure_id}")
        if assigned:
            raise CommandError(
                f"{', '.join(assigned)} became a subscription meanwhile: begin again"
            )

    def _describe(
        self, chosen: Chosen, erased: Collection[str], still_active: Collection[str]
    ) -> None:
        for subject in chosen.subjects:
            state = "active" if subject in still_active else ""
            client = chosen.clients.get(subject, "")
            words = "erased already" if subject in erased else state, client and f"of {client}"
            self.stdout.write("  ".join([subject, *filter(None, words)]))
        unassigned = definition().unassigned
        for each, client in chosen.unassigned.items():
            self.stdout.write(f"{each}  {unassigned.called}  of {client}")
        outside = definition().outside(chosen.subjects), unassigned.outside(list(chosen.unassigned))
        for remark in (*chosen.remarks, *chain(*outside)):
            self.stdout.write(remark)

    def _request_again(self, since: datetime | None) -> None:
        requested = requests.request_again(since)
        self.stdout.write(f"requested again that the other side erases {requested} subscriptions")

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


def _check_ended(chosen: Chosen, still_active: Collection[str]) -> None:
    """Raises `CommandError` if something is active, or may be of what was paid and is not used."""
    if still_active:
        raise CommandError(
            f"{len(still_active)} of {len(chosen.subjects)} subscriptions are active, as far "
            "as is known here: cancel them first, or give --active; nothing was changed"
        )
    if chosen.unassigned:
        raise CommandError(
            f"{len(chosen.unassigned)} {definition().unassigned.called}s may be of something paid: "
            "handle or close them first, or give --active; nothing was changed"
        )


def _erased(subjects: Sequence[str]) -> set[str]:
    stones = Tombstone.objects.filter(subject__in=subjects, erased_at__isnull=False)
    return set(stones.values_list("subject", flat=True))


def _erasures(subjects: Sequence[str]) -> Iterator[UUID]:
    stones = Tombstone.objects.filter(subject__in=subjects)
    yield from stones.order_by("erasure_id").values_list("erasure_id", flat=True).distinct()


def _time(text: str) -> datetime:
    """A time, in UTC unless it says otherwise. Raises `ValueError`."""
    given = datetime.fromisoformat(text)
    return given if given.tzinfo else given.replace(tzinfo=UTC)


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
