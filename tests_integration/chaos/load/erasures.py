"""Operators erase persons, on either side and in the middle of whatever happens to them."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from itertools import count

from tools.system.system import SERVICES, CommandFailed, System

from .threads import Threads

PAUSE = 1.0
"""Seconds before a command that has failed is repeated."""

TOGETHER = 3
"""Persons that one command erases, at most."""


class Erasures:
    """A thread that runs `manage.py erase_person` on both sides in turn, `rate` times a second."""

    def __init__(
        self, system: System, choose: Callable[[], str], erased: set[str], rate: float, seed: int
    ) -> None:
        """`choose` returns the id of a subscription, or nothing; `erased` gets those chosen."""
        self._system = system
        self._choose = choose
        self._erased = erased
        self._pause = 1 / rate if rate else 0.0
        self._draw = random.Random(f"erasures {seed}")
        self._given_up = threading.Event()
        self.threads = Threads(self._given_up.set)
        self.threads.add("erasures", self._work, 1 if rate else 0)
        self.anomalies: list[str] = []
        """Erasures that could not be begun."""

    def _work(self) -> None:
        for number in count():
            if self.threads.closed.wait(self._pause):
                return
            persons = {self._choose() for _ in range(self._draw.randint(1, TOGETHER))}
            persons -= {"", *self._erased}
            if persons:
                # Before it begins: from now on, any answer about them may come.
                self._erased |= persons
                self._erase(SERVICES[number % len(SERVICES)], sorted(persons))

    def _erase(self, service: str, persons: list[str]) -> None:
        named = [part for each in persons for part in ("--subscription", each)]
        failure = "it was not tried"
        while not self._given_up.is_set():
            try:
                self._system.manage(service, "erase_person", "begin", "--active", *named)
            except CommandFailed as error:
                failure = str(error).strip().splitlines()[-1]
                self._given_up.wait(PAUSE)
            else:
                return
        self.anomalies.append(f"{', '.join(persons)} could not be erased: {failure}")
