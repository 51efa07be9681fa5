"""Set-aside messages as operators see them: in groups with one cause, and chosen by group."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, Min, Q

from admit_one.contract.errors import MessagingError
from admit_one.messaging.models import SetAside

S = SetAside.State

SHORT = 6
"""Hexadecimal digits by which a group is called."""


class NoSuchGroup(MessagingError):
    """No group, or more than one, is called so."""


@dataclass(frozen=True)
class Group:
    """The messages in one state that failed with one cause."""

    state: str
    fingerprint: str
    count: int
    tried_by_hand: int
    """How many of them an operator has had tried."""
    oldest: datetime
    example: SetAside

    @property
    def name(self) -> str:
        return short(self.fingerprint)

    @property
    def came_back(self) -> int:
        """How many failed again after an operator had them tried."""
        return self.tried_by_hand if self.state in {S.DEAD, S.RETRYING} else 0


def short(fingerprint: str) -> str:
    """What a group is called in lists and commands."""
    return hashlib.sha256(fingerprint.encode()).hexdigest()[:SHORT]


def groups() -> list[Group]:
    """All groups; first those that wait for somebody, the largest first."""
    by_cause = SetAside.objects.values_list("state", "fingerprint").annotate(
        count=Count("id"),
        by_hand=Count("id", filter=Q(replays__gt=0)),
        oldest=Min("created_at"),
        example=Max("id"),
    )
    counted = sorted(by_cause, key=lambda group: (group[0] != S.DEAD, -group[2]))
    # Not the whole rows: a body of each would be read.
    light = SetAside.objects.only("type", "error", "reason")
    examples = light.in_bulk([group[-1] for group in counted])
    return [
        Group(state, cause, count, by_hand, oldest, examples[example])
        for state, cause, count, by_hand, oldest, example in counted
        if example in examples
    ]


def named(name: str) -> str:
    """The fingerprint that `name` means: itself, its short form, or a beginning of that.

    Raises `NoSuchGroup`.
    """
    known = SetAside.objects.order_by().values_list("fingerprint", flat=True).distinct()
    meant = {
        cause
        for cause in known
        if name == cause or (name and short(cause).startswith(name.lower()))
    }
    if len(meant) == 1:
        return str(meant.pop())
    if meant:
        candidates = ", ".join(sorted(f"{short(cause)} ({cause})" for cause in meant))
        raise NoSuchGroup(f"{name!r} may be {candidates}: type more of it")
    raise NoSuchGroup(f"no group is called {name!r}; `set_aside list` names them")
