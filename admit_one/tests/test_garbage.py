"""A process looks for garbage rarely, but it does."""

from __future__ import annotations

import subprocess
import sys

MAKES_MANY = """
import gc, weakref
from admit_one.processes import garbage

class Cycle:
    def __init__(self):
        self.itself = self

garbage.collect_rarely()
before = gc.get_stats()[0]["collections"]
batch = [[number] for number in range(10_000)]
print(gc.get_stats()[0]["collections"] - before)
first = weakref.ref(Cycle())
cycles = [Cycle() for _ in range(garbage.BETWEEN_COLLECTIONS)]
print(first())
"""


def test_a_batch_is_not_searched_while_it_lives_and_garbage_goes_in_the_end() -> None:
    said = subprocess.run(
        [sys.executable, "-c", MAKES_MANY], capture_output=True, text=True, check=True
    )

    assert said.stdout.split() == ["0", "None"]
