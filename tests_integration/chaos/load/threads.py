"""How each kind of actor begins and ends: threads that begin something again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Threads:
    """Those of one kind of actor. One whose rate is 0 has none."""

    def __init__(self, give_up: Callable[[], object] = lambda: None) -> None:
        """`give_up` ends what is in hand and has no end by itself."""
        self._give_up = give_up
        self._threads: list[threading.Thread] = []
        self.closed = threading.Event()
        self.began = 0.0

    def add(self, name: str, work: Callable[[], None], number: int = 1) -> None:
        """Have `work` done in so many threads; it returns once the actor is `closed`."""
        for _ in range(number):
            self._threads.append(threading.Thread(target=work, name=name, daemon=True))

    def start(self) -> None:
        self.began = time.monotonic()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Begin nothing more; what is in hand continues until it is answered or confirmed."""
        self.closed.set()

    def finish(self, seconds: float) -> None:
        """Wait until nothing is in hand. After `seconds` give up."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._give_up()
