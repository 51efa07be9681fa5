"""The plan of a run: which fault begins and ends when, drawn from a seed before anything starts."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from .catalogue import FAULTS

T = TypeVar("T")

EVERY = 3.6
"""Average seconds from the start of one fault to the next: about 160 in ten minutes."""

RECOVERY = 1.0
"""Seconds after a fault in which its target gets no other, so that it can come back."""

CALM = 2.0
"""Seconds without faults at the start."""


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

    Kinds are dealt from a deck that holds each kind as often as its weight, and targets from a
    deck for each kind, so that none is left out. `only` restricts the kinds; `every` is the
    average number of seconds between two faults.
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
            free_at |= dict.fromkeys(touched, until + RECOVERY)
        at += every * draw.uniform(0.5, 1.5)
    return sorted(planned, key=lambda fault: fault.at)


class Deck(Iterator[T], Generic[T]):
    """Deals cards from a shuffled deck, and reshuffles when it is empty."""

    def __init__(self, cards: Sequence[T], draw: random.Random) -> None:
        self._cards = cards
        self._draw = draw
        self._deck: list[T] = []

    def __next__(self) -> T:
        if not self._deck:
            self._deck = self._draw.sample(self._cards, len(self._cards))
        return self._deck.pop()
