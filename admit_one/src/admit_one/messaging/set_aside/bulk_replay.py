"""Replays many messages: in growing batches, at a limited rate, until too many fail again.

The rows record its progress, so the same command continues a replay that was stopped or killed:
applied messages are closed, and those not tried yet come first.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import chain, repeat

from django.db.models import QuerySet

from admit_one.contract.errors import MessagingError
from admit_one.messaging.models import SetAside
from admit_one.processes.stopping import Stop

from .replay import replay
from .replay_results import ReplayOrder, ReplayResult

SIZES = (1, 2, 5, 10, 20, 50)
"""Messages in each of the first batches."""

LARGEST = 100
"""Messages in each batch after those: at most so many are risked before the next check."""

TOO_MANY = 0.2
"""The share of a batch that may fail again; with more, the rest would most likely fail, too."""


class TooManyFailed(MessagingError):
    """The replay has stopped itself: the cause is not fixed."""


def least_tried_first(rows: QuerySet[SetAside]) -> list[int]:
    """Their ids: those that were replayed least often first, then the oldest."""
    return list(rows.order_by("replays", "id").values_list("id", flat=True))


def replayed(
    ids: Sequence[int], order: ReplayOrder, stop: Stop, *, rate: float = 0
) -> Iterator[ReplayResult]:
    """Replay each of `ids`, at most `rate` a second (0: no limit); yields each result.

    Ends early when asked to stop. Raises `TooManyFailed` after a batch of which more than
    `TOO_MANY` did, and `outage.NotNow` in an outage of the database; both leave the rest unchanged.
    """
    next_at = time.monotonic()
    left = list(ids)
    for size in chain(SIZES, repeat(LARGEST)):
        batch, left = left[:size], left[size:]
        failed = 0
        for row_id in batch:
            stop.wait(next_at - time.monotonic())
            if stop:
                return
            next_at = max(next_at, time.monotonic() - 1.0) + (1.0 / rate if rate else 0.0)
            answer = replay(row_id, order)
            failed += answer.failed
            yield answer
        if left and failed > TOO_MANY * len(batch):
            raise TooManyFailed(f"{failed} of a batch of {len(batch)} failed again")
        if not left:
            return
