"""Gauges that are read from the database when Prometheus asks.

They are the same whichever process of a service reports them, so that a gauge is there although
the process that changes it is not. Each reading costs a few rows of an index, however many wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from django.db import connection, models
from prometheus_client import REGISTRY, Metric, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily

from admit_one.logs import EventLogger

from .database import outage
from .wiring import wired

logger = EventLogger(__name__)

disable_created_metrics()  # type: ignore[no-untyped-call]  # second series that nobody reads

AT_MOST = 10_000
"""Rows that are counted; a gauge as large means "so many or more"."""

WAITS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400)
"""Buckets in seconds: from a wait that nobody notices to one that people complain about."""

TIME_LIMIT = 2.0
"""Seconds for each statement."""

KEPT = 5.0
"""Seconds that an answer is given again: many who ask cost the database no more than one."""

Reading = Callable[[], Iterable[Metric]]


def gauge(name: str, help_text: str, value: float) -> Metric:
    """One number."""
    return GaugeMetricFamily(name, help_text, value=value)


def gauges(
    name: str, help_text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]
) -> Metric:
    """Numbers that differ by their labels, of which there must be few."""
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for label_values, value in values.items():
        family.add_metric(label_values, value)
    return family


def count(rows: models.QuerySet[models.Model]) -> int:
    """How many, but at most `AT_MOST`."""
    return rows.order_by()[:AT_MOST].count()


class DatabaseGauges:
    """Reads all gauges for Prometheus, for one client at a time."""

    def __init__(self, *readings: Reading) -> None:
        self.readings = list(readings)
        """Those of the machinery; a service's own are the `METRICS` of its wiring."""
        self._one_at_a_time = threading.Lock()
        self._read_at = float("-inf")
        self._kept: list[Metric] = []

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names are known once somebody asks, and registering asks nobody."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Called by Prometheus's library. Never raises: what cannot be read is left out."""
        with self._one_at_a_time:
            if time.monotonic() - self._read_at > KEPT:
                self._kept = self._read()
                self._read_at = time.monotonic()
            return self._kept

    def _read(self) -> list[Metric]:
        readable, metrics = 1, []
        try:
            with _limited_time():
                for reading in (*self.readings, *wired("METRICS", ())):
                    metrics += list(reading())
        except outage.DATABASE_ERRORS as error:
            logger.warning(
                "gauges_unreadable",
                "the database's gauges cannot be read: {error}",
                error=type(error).__name__,
            )
            readable = 0
        help_text = "1 if the database has answered in time, else 0."
        return [gauge("messaging_database_readable", help_text, readable), *metrics]


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


database_gauges = DatabaseGauges()
"""This process's own."""

REGISTRY.register(database_gauges)
