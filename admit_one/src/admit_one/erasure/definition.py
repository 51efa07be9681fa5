"""What a service says in its wiring about persons and what it keeps of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
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


class Eraser(NamedTuple):
    """One part of what a service keeps about subjects."""

    rows: Callable[[Sequence[str]], Iterable[QuerySet[Any]]]
    """What is kept about these subjects: a query for each of its models."""
    erase: Callable[[Sequence[str]], None]
    """Blanks or deletes it, in the transaction of the erasure. First it locks what others lock
    before they write about these subjects, so that nothing is written afterwards."""


@dataclass(frozen=True)
class Erasure:
    """How persons are found, and how erasures are reported. The wiring's `ERASURE`.

    Its events have `erasure_id`, and `about_erasure` is set in their classes.
    """

    find: Callable[[Person], Collection[str]]
    """The subjects of a person: those that are given, and those that are found."""
    active: Callable[[Collection[str]], Collection[str]]
    """Which of these subjects a person still uses: then they are erased only with `--active`."""
    request: Callable[[str, UUID], Event]
    """Asks the other side to erase a subject."""
    answer: Callable[[str, UUID, datetime], Event]
    """Answers that a subject is erased here since then."""
    belonging: Callable[[Sequence[str]], Collection[str]] = lambda _: ()
    """The ids of what is erased with these subjects, such as orders: answers name them, too."""


def definition() -> Erasure:
    """The wiring's. Raises `AttributeError` if a service has none."""
    erasure: Erasure | None = wired("ERASURE")
    if erasure is None:
        raise AttributeError("expected ERASURE in the wiring of a service that erases persons")
    return erasure
