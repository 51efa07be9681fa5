"""What will happen when: drawn from a seed, before anything starts."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from .catalogue import FAULTS

T = TypeVar("T")

EVERY = 3.6
"""Seconds between the beginnings of two faults, on average: 160 of them in ten minutes."""

BREATH = 1.0
"""Seconds after a fault in which its target is left alone, so that it comes back between two."""

CALM = 2.0
"""Seconds at the start without a fault."""


@dataclass(frozen=True)
class Planned:
    """One fault, in seconds from the start of the load."""

    at: float
    until: float
    fault: str
    target: str


def plan(
    seed: int, seconds: float, kind: str, *, only: Sequence[str] = (), every: float = EVERY
) -> list[Planned]:
    """The faults of a run of `seconds` on `kind` ("servers" or "embedded").

    They are dealt from a deck in which each kind is as often as it weighs; so are the targets of a
    kind. `only` keeps to some kinds; `every` is how many seconds lie between two, on average.
    """
    draw = random.Random(f"plan {seed}")
    kinds = [name for name, each in FAULTS.items() if each.on in {"both", kind}]
    chosen = [name for name in kinds if not only or name in only]
    faults = Deck([name for name in chosen for _ in range(FAULTS[name].weight)], draw)
    targets = {name: Deck(FAULTS[name].targets, draw) for name in kinds}
    free_at: dict[str, float] = {}
    planned = []
    at = CALM
    while at < seconds:
        name = next(faults)
        target = next(targets[name])
        touched = FAULTS[name].touches(target)
        begin = max([at, *(free_at.get(part, 0.0) for part in touched)])
        until = min(begin + draw.uniform(*FAULTS[name].seconds), seconds)
        if begin < seconds:
            planned.append(Planned(round(begin, 2), round(until, 2), name, target))
            free_at |= dict.fromkeys(touched, until + BREATH)
        at += every * draw.uniform(0.5, 1.5)
    return sorted(planned, key=lambda fault: fault.at)


class Deck(Iterator[T], Generic[T]):
    """Deals cards from a shuffled deck, and shuffles again when they are used up."""

    def __init__(self, cards: Sequence[T], draw: random.Random) -> None:
        self._cards = cards
        self._draw = draw
        self._deck: list[T] = []

    def __next__(self) -> T:
        if not self._deck:
            self._deck = self._draw.sample(self._cards, len(self._cards))
        return self._deck.pop()
