"""Set-aside messages as operators see and choose them: in groups with one cause."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, Min, Q

from admit_one.contract.errors import MessagingError
from admit_one.database.distinct import each_value
from admit_one.messaging.models import SetAside, SetAsideQuerySet

S = SetAside.State
STATES = {
    "replay": [S.DEAD, S.RETRYING, S.REPLAYED],
    "discard": [S.DEAD, S.RETRYING],
    "restore": [S.DISCARDED],
}
"""The states that each verb applies to; for a group or all messages, the first is the default."""

SHORT = 6
"""Hexadecimal digits in the short name of a group."""


class NoSuchGroup(MessagingError):
    """No group has this name, or more than one."""


class NoSuchMessage(MessagingError):
    """No message has one of these ids."""


@dataclass(frozen=True)
class Group:
    """The messages in one state that failed with one cause."""

    state: str
    fingerprint: str
    count: int
    replayed: int
    """How many of them an operator has replayed."""
    oldest: datetime
    example: SetAside

    @property
    def name(self) -> str:
        return short(self.fingerprint)

    @property
    def failed_again(self) -> int:
        """How many are open although an operator has replayed them."""
        return self.replayed if self.state in {S.DEAD, S.RETRYING} else 0


def short(fingerprint: str) -> str:
    """The name of a group in lists and commands."""
    return hashlib.sha256(fingerprint.encode()).hexdigest()[:SHORT]


MAX_CLOSED = 10_000
"""Of the messages that are closed, those that are counted in groups: the last ones of each state.

They are kept for long; a list must not take longer for all that ever failed.
"""


def groups() -> list[Group]:
    """All groups: first the dead ones, and the largest first.

    Groups of closed messages are those of the last `MAX_CLOSED`.
    """
    counted = sorted([*_open(), *_closed()], key=lambda group: (group[0] != S.DEAD, -group[2]))
    # Not the whole rows, with their bodies.
    rows = SetAside.objects.only("type", "error", "reason")
    examples = rows.in_bulk([group[-1] for group in counted])
    return [
        Group(state, cause, count, replayed, oldest, examples[example])
        for state, cause, count, replayed, oldest, example in counted
        if example in examples
    ]


Counted = tuple[str, str, int, int, datetime, int]


def _open() -> Iterable[Counted]:
    by_cause = SetAside.objects.open().values_list("state", "fingerprint")
    return by_cause.annotate(
        count=Count("id"),
        replayed=Count("id", filter=Q(replays__gt=0)),
        oldest=Min("created_at"),
        example=Max("id"),
    ).order_by()


def _closed() -> Iterator[Counted]:
    for state in (S.REPLAYED, S.DISCARDED):
        rows = SetAside.objects.filter(state=state).order_by("-id")
        last = rows.values_list("fingerprint", "replays", "created_at", "id")[:MAX_CLOSED]
        causes: dict[str, list[tuple[int, datetime, int]]] = defaultdict(list)
        for cause, replays, created_at, row_id in last:
            causes[cause].append((replays, created_at, row_id))
        for cause, members in causes.items():
            replayed = sum(replays > 0 for replays, _, _ in members)
            oldest = min(created_at for _, created_at, _ in members)
            yield state, cause, len(members), replayed, oldest, members[0][2]


def named(name: str) -> str:
    """The fingerprint that `name` stands for: itself, its short name, or a prefix of that.

    Raises `NoSuchGroup`.
    """
    meant = {
        cause
        for cause in each_value(SetAside, "fingerprint")
        if name == cause or (name and short(cause).startswith(name.lower()))
    }
    if len(meant) == 1:
        return str(meant.pop())
    if meant:
        candidates = ", ".join(sorted(f"{short(cause)} ({cause})" for cause in meant))
        raise NoSuchGroup(f"{name!r} may be {candidates}: type more of it")
    raise NoSuchGroup(f"no group is called {name!r}; `set_aside list` names them")


@dataclass(frozen=True)
class Choice:
    """Chooses messages by ids, by group, or all, and by state; by default none."""

    ids: Sequence[int] = ()
    group: str | None = None
    everything: bool = False
    state: str | None = None

    def rows(self, verb: str) -> SetAsideQuerySet:
        """The chosen messages for `verb`. Raises `NoSuchMessage` or `NoSuchGroup`."""
        if self.ids:
            rows = SetAside.objects.filter(id__in=self.ids)
            if missing := sorted(set(self.ids) - set(oldest_first(rows))):
                raise NoSuchMessage(
                    f"no message {', '.join(map(str, missing))}; "
                    "`set_aside list` shows which there are"
                )
            return rows.filter(state=self.state) if self.state else rows
        if self.group is not None:
            rows = SetAside.objects.filter(fingerprint=named(self.group))
        else:
            rows = SetAside.objects.all() if self.everything else SetAside.objects.none()
        return rows.filter(state=self.state or STATES[verb][0])


def oldest_first(rows: SetAsideQuerySet) -> list[int]:
    """Their ids, the oldest first."""
    return list(rows.order_by("id").values_list("id", flat=True))
