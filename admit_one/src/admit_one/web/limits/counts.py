"""Counts requests over a sliding minute, in this process, and decides at once. It knows no store.

Of the minute before, the share counts that lies within the last 60 s, as if its requests had come
evenly. So nobody gets twice the limit around the turn of a minute. A request that is refused does
not count: who keeps trying still gets the limit.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

WINDOW = 60
"""Seconds."""


class Allowance(NamedTuple):
    """Whether a request is within the limit, and what is left."""

    ok: bool
    limit: int
    remaining: int
    seconds: int
    """If nothing remains, until there is something again; else until the end of the minute."""


class Tally(NamedTuple):
    """The requests of one subject in a minute, and in the one before.

    To the store go those that only this process knows, and from it come those of all processes.
    """

    subject: str
    minute: int
    requests: int
    previous: int


@dataclass
class _Count:
    minute: int
    count: int = 0
    previous: int = 0
    new: int = 0
    """Of `count`, what the store does not know yet."""
    new_previous: int = 0

    def turn(self, minute: int) -> None:
        """Go on to this minute. A clock that was set back by more than that starts again."""
        if minute == self.minute or minute == self.minute - 1:
            return
        is_next = minute == self.minute + 1
        self.previous, self.new_previous = (self.count, self.new) if is_next else (0, 0)
        self.minute, self.count, self.new = minute, 0, 0

    def learn(self, total: Tally) -> None:
        """Take over what all processes have counted; what is `new` came after that."""
        if total.minute > self.minute:
            self.turn(total.minute)
        if total.minute == self.minute:
            self.count = total.requests + self.new
            self.previous = total.previous + self.new_previous
        elif total.minute == self.minute - 1:
            self.previous = total.requests + self.new_previous

    def give_back(self, uncounted: Tally) -> None:
        if uncounted.minute == self.minute:
            self.new += uncounted.requests
            self.new_previous += uncounted.previous
        elif uncounted.minute == self.minute - 1:
            self.new_previous += uncounted.requests


class Counts:
    """The counts of many subjects, such as keys; safe for threads, with no I/O under its lock."""

    def __init__(self, most: float = math.inf) -> None:
        """`most`: subjects at a time. More are let through uncounted: nobody is locked out."""
        self._most = most
        self._lock = threading.Lock()
        self._counts: dict[str, _Count] = {}
        self._ahead = time.time() - time.monotonic()

    def take(self, subject: str, limit: int, requests: int = 1) -> Allowance:
        """Count `requests` requests, `limit` at most, if all are within `limit` a minute."""
        minute, elapsed = self._now()
        with self._lock:
            count = self._counts.get(subject)
            if count is None:
                if len(self._counts) >= self._most:
                    return Allowance(True, limit, limit - requests, math.ceil(WINDOW - elapsed))
                count = self._counts[subject] = _Count(minute)
            count.turn(minute)
            elapsed = elapsed if minute == count.minute else 0.0
            left = limit - count.count - count.previous * (1 - elapsed / WINDOW)
            ok = left >= requests
            if ok:
                count.count += requests
                count.new += requests
                left -= requests
            if ok and left >= 1:
                return Allowance(ok, limit, int(left), math.ceil(WINDOW - elapsed))
            wanted = 1 if ok else requests
            return Allowance(
                ok, limit, max(0, int(left)), _until_free(wanted, count, limit, elapsed)
            )

    def drain(self) -> list[Tally]:
        """What only this process knows; from now on it counts as known to the store.

        Forgets the subjects whose requests have no weight any more.
        """
        minute, _ = self._now()
        with self._lock:
            for subject, count in list(self._counts.items()):
                if not -1 <= minute - count.minute <= 1:
                    del self._counts[subject]
            drained = [
                Tally(subject, count.minute, count.new, count.new_previous)
                for subject, count in self._counts.items()
                if count.new or count.new_previous
            ]
            for subject, *_ in drained:
                self._counts[subject].new = self._counts[subject].new_previous = 0
            return drained

    def learn(self, totals: Iterable[Tally], now: float) -> None:
        """Take over the store's totals and its clock, in seconds since 1970."""
        with self._lock:
            ahead = now - time.monotonic()
            # Before the first time, and after a clock was set, the minutes here are others.
            apart = round((ahead - self._ahead) / WINDOW)
            for count in self._counts.values() if apart else ():
                count.minute += apart
            self._ahead = ahead
            for total in totals:
                if known := self._counts.get(total.subject):
                    known.learn(total)

    def give_back(self, drained: Iterable[Tally]) -> None:
        """Undo `drain`: the store is away. It gets no more than the last two minutes later."""
        with self._lock:
            for uncounted in drained:
                if count := self._counts.get(uncounted.subject):
                    count.give_back(uncounted)

    def _now(self) -> tuple[int, float]:
        """The minute, and the seconds since it began."""
        minute, elapsed = divmod(time.monotonic() + self._ahead, WINDOW)
        return int(minute), elapsed


def _until_free(requests: int, count: _Count, limit: int, elapsed: float) -> int:
    """Whole seconds until so many are within the limit, if there are no others."""
    free = limit - requests - count.count
    if free >= 0:
        # The minute before loses weight until then; there was something in it, or they were free.
        at = WINDOW * (1 - free / count.previous)
    else:
        at = WINDOW + WINDOW * (1 - (limit - requests) / count.count)
    return max(1, math.ceil(at - elapsed))
