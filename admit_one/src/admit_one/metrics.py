"""Numbers that live in the database, read when Prometheus asks.

They are the same whichever process of a service tells them, so that a number is there although
the process that changes it is not. Each reading costs a few rows of an index, however many wait.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from django.db import connection, models
from django.db.models.functions import Now
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from .database import outage
from .messaging.models import OutboxMessage, SetAside
from .wiring import wired

logger = logging.getLogger(__name__)

AT_MOST = 10_000
"""Rows that are counted; a number as large means "so many or more"."""

GROUPS = 20
"""Groups of set-aside messages with a line of their own; the others are one line together."""

TIME_LIMIT = 2.0
"""Seconds for each statement."""

KEPT = 5.0
"""Seconds that an answer is given again: many who ask cost the database no more than one."""

Reading = Callable[[], Iterable[Metric]]


def gauge(name: str, says: str, value: float) -> Metric:
    """One number."""
    return GaugeMetricFamily(name, says, value=value)


def gauges(
    name: str, says: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]
) -> Metric:
    """Numbers that differ by their labels, of which there must be few."""
    family = GaugeMetricFamily(name, says, labels=labels)
    for label_values, value in values.items():
        family.add_metric(label_values, value)
    return family


def count(rows: models.QuerySet[models.Model]) -> int:
    """How many, but at most `AT_MOST`."""
    return rows.order_by()[:AT_MOST].count()


def outbox() -> Iterator[Metric]:
    unsent = OutboxMessage.objects.unsent()
    yield gauge(
        "messaging_outbox_unsent", f"Events that wait to be sent, {AT_MOST} at most.", count(unsent)
    )
    yield gauge(
        "messaging_outbox_oldest_unsent_seconds",
        "Age of the oldest event that waits to be sent, 0 if none does.",
        oldest_unsent_age(),
    )


def oldest_unsent_age() -> float:
    """Seconds that the oldest unsent event has waited, by the database's clock; 0 if none waits.

    The index of unsent rows is by the time of the next try, which is that of the writing but for
    rows that were refused: those are at its end, put off. So it is the first row of the index or
    one that is put off, however many wait between. Refused rows that are due again may be
    overlooked while others wait, until their next try.
    """
    unsent = OutboxMessage.objects.unsent().order_by("next_attempt_at", "id").annotate(now=Now())
    put_off = unsent.filter(next_attempt_at__gt=Now())
    few = [*unsent.values("now", "created_at")[:1], *put_off.values("now", "created_at")[:1_000]]
    return max(((row["now"] - row["created_at"]).total_seconds() for row in few), default=0.0)


def set_aside() -> Iterator[Metric]:
    found: dict[tuple[str, str], int] = defaultdict(int)
    kept = SetAside.objects.open().order_by().values_list("state", "fingerprint")[:AT_MOST]
    for state, group in kept:
        found[state, group] += 1
    by_size = sorted(found, key=lambda key: (-found[key], key))
    told: dict[tuple[str, ...], float] = defaultdict(float)
    for place, (state, group) in enumerate(by_size):
        told[state, group if place < GROUPS else "other"] += found[state, group]
    yield gauges(
        "messaging_set_aside",
        f"Set-aside messages that are not settled, {AT_MOST} at most, by state and group.",
        ("state", "group"),
        told,
    )


class Numbers:
    """Reads all numbers for Prometheus, one asker at a time."""

    def __init__(self) -> None:
        self.readings: list[Reading] = [outbox, set_aside]
        """Those of messaging; a service's own are the `METRICS` of its wiring."""
        self._one_at_a_time = threading.Lock()
        self._read_at = float("-inf")
        self._kept: list[Metric] = []

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names are known once somebody asks, and registering asks nobody."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Called by Prometheus's library. Never raises: what cannot be read is not told."""
        with self._one_at_a_time:
            if time.monotonic() - self._read_at > KEPT:
                self._kept = self._read()
                self._read_at = time.monotonic()
            return self._kept

    def _read(self) -> list[Metric]:
        readable, found = 1, []
        try:
            with _limited_time():
                for reading in (*self.readings, *wired("METRICS", ())):
                    found += list(reading())
        except outage.DATABASE_ERRORS as error:
            logger.warning("the database's numbers cannot be read: %s", type(error).__name__)
            readable = 0
        says = "1 if the database has told its numbers in time, else 0."
        return [gauge("messaging_database_readable", says, readable), *found]


@contextmanager
def _limited_time() -> Iterator[None]:
    """A connection for a moment, whose statements end by themselves."""
    try:
        connection.ensure_connection()
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"SET statement_timeout = {int(TIME_LIMIT * 1000)}")
        else:
            deadline = time.monotonic() + TIME_LIMIT
            connection.connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
        yield
    finally:
        outage.forget_connection()


numbers = Numbers()
"""This process's own."""
