"""What a service says in its wiring about persons and what it keeps of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import QuerySet

from admit_one.contract import Event
from admit_one.wiring import wired


class Person(NamedTuple):
    """By what a person is found: any of these."""

    user_ids: Collection[str] = ()
    emails: Collection[str] = ()
    subjects: Collection[str] = ()
    clients: Collection[str] = ()
    """Whose users and addresses these are; none named: any client's."""


class Found(NamedTuple):
    """What a service keeps of a person."""

    subjects: Mapping[str, str]
    """Each that is theirs, with the client that owns it, or nothing where clients are not known."""
    uncertain: Mapping[str, str] = MappingProxyType({})
    """Each that may be somebody else's, with why."""


class Eraser(NamedTuple):
    """One part of what a service keeps about subjects."""

    rows: Callable[[Sequence[str]], Iterable[QuerySet[Any]]]
    """What is kept about these subjects: a query for each of its models."""
    erase: Callable[[Sequence[str]], None]
    """Blanks or deletes it, in the transaction of the erasure. First it locks what others lock
    before they write about these subjects, so that nothing is written afterwards."""


class Unassigned(NamedTuple):
    """What names persons and is about no subject yet, such as a payment that waits for its sale.

    It has ids of its own, stands on this side only, and has no tombstones.
    """

    called: str = ""
    """What one is, in a word that takes an s."""
    find: Callable[[Person], Found] = lambda _: Found({})
    """Those that are a person's; by subjects, those of whoever has them."""
    rows: Callable[[Sequence[str]], Iterable[QuerySet[Any]]] = lambda _: ()
    """What is kept about these: a query for each of its models."""
    erase: Callable[[Sequence[str], str | None], Collection[str]] = lambda _, __: ()
    """Erases them, by somebody. Returns those that have become a subject's meanwhile."""
    outside: Callable[[Sequence[str]], Iterable[str]] = lambda _: ()
    """As of `Erasure`."""
    unsearched: Callable[[], int] = lambda: 0
    """How many cannot be searched for anybody."""


NOTHING_UNASSIGNED = Unassigned()


@dataclass(frozen=True)
class Erasure:
    """How persons are found, and how erasures are reported. The wiring's `ERASURE`.

    Its events have `erasure_id`, and `about_erasure` is set in their classes.
    """

    find: Callable[[Person], Found]
    """The subjects of a person: those of the given ones that are kept here, and those found."""
    active: Callable[[Collection[str]], Collection[str]]
    """Which of these subjects a person still uses, as far as this side can know: those are erased
    only with `--active`."""
    request: Callable[[str, UUID], Event]
    """Asks the other side to erase a subject."""
    answer: Callable[[str, UUID, datetime], Event]
    """Answers that a subject is erased here since then."""
    clients: bool = False
    """Whether this side knows clients. A user id belongs to one: another's may be somebody else."""
    outside: Callable[[Sequence[str]], Iterable[str]] = lambda _: ()
    """What goes on outside about these subjects until somebody ends it there, in words."""
    unassigned: Unassigned = NOTHING_UNASSIGNED
    belonging: Callable[[Sequence[str]], Collection[str]] = lambda _: ()
    """The ids of what is erased with these subjects, such as orders: answers name them, too."""


def definition() -> Erasure:
    """The wiring's. Raises `AttributeError` if a service has none."""
    erasure: Erasure | None = wired("ERASURE")
    if erasure is None:
        raise AttributeError("expected ERASURE in the wiring of a service that erases persons")
    return erasure
