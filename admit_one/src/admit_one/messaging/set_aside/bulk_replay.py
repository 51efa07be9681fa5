"""Many messages replayed, carefully: in growing batches, at a limited rate, with an end of its own.

What is done and what is not stands in the rows. So a bulk replay that was stopped or killed is
continued by the same command: what was applied is closed, what was not tried yet comes first.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import chain, repeat

from django.db.models import QuerySet

from admit_one.contract.errors import MessagingError
from admit_one.messaging.models import SetAside
from admit_one.processes.stopping import Stop

from .replay import Order, ReplayResult, replay

SIZES = (1, 2, 5, 10, 20, 50)
"""Messages in each of the first batches."""

LARGEST = 100
"""Messages in each batch after those: at most so many are risked before somebody judges."""

TOO_MANY = 0.2
"""The share of a batch that may come back; with more, what follows would most likely, too."""


class TooManyCameBack(MessagingError):
    """The replay has stopped itself: what was to be mended is not mended."""


def least_tried_first(rows: QuerySet[SetAside]) -> list[int]:
    """Their ids: those that were replayed least often first, then the oldest."""
    return list(rows.order_by("replays", "id").values_list("id", flat=True))


def replayed(
    ids: Sequence[int], order: Order, stop: Stop, *, rate: float = 0
) -> Iterator[ReplayResult]:
    """Replay each of `ids`, at most `rate` a second (0: as fast as it goes); yields each answer.

    Ends early when asked to stop. Raises `TooManyCameBack` after a batch of which more than
    `TOO_MANY` did, and `outage.LetGo` if the database is away; both leave the rest as it was.
    """
    next_at = time.monotonic()
    left = list(ids)
    for size in chain(SIZES, repeat(LARGEST)):
        batch, left = left[:size], left[size:]
        came_back = 0
        for row_id in batch:
            stop.wait(next_at - time.monotonic())
            if stop:
                return
            next_at = max(next_at, time.monotonic() - 1.0) + (1.0 / rate if rate else 0.0)
            answer = replay(row_id, order)
            came_back += answer.came_back
            yield answer
        if left and came_back > TOO_MANY * len(batch):
            raise TooManyCameBack(f"{came_back} of a batch of {len(batch)} came back")
        if not left:
            return
