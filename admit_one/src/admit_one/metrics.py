"""Gauges that are read from the database at each scrape.

Every process of a service reports the same values, so a gauge is there even if the process that
changes it is down. A scrape reads a bounded number of index rows, however many rows wait.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, models, transaction
from prometheus_client import REGISTRY, Metric, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily

from admit_one.logs import EventLogger

from .database import outage
from .wiring import wired

logger = EventLogger(__name__)

disable_created_metrics()  # type: ignore[no-untyped-call]  # an unused second series for each

AT_MOST = 10_000
"""Rows that are counted; a gauge as large means "so many or more"."""

WAITS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400)
"""Buckets in seconds: from a wait that nobody notices to one that people complain about."""

TIME_LIMIT = 2.0
"""Seconds for each statement."""

KEPT = 5.0
"""Seconds for which a reading is reused: many scrapes cost the database no more than one."""

Reading = Callable[[], Iterable[Metric]]


def counted(
    name: str,
    help_text: str,
    rows: models.QuerySet[Any],
    by: str = "",
    values: Iterable[str] = (),
) -> Metric:
    """A gauge of how many rows there are, up to `AT_MOST`; with `by`, one for each of its values.

    With `values`, each of them is reported, even if it is 0; without, each value that occurs.
    """
    help_text = f"{help_text}, {AT_MOST} at most."
    if not by:
        return GaugeMetricFamily(name, help_text, value=rows.order_by()[:AT_MOST].count())
    family = GaugeMetricFamily(name, help_text, labels=[by])
    tally = Counter(rows.order_by().values_list(by, flat=True)[:AT_MOST])
    for value in values or tally:
        family.add_metric([value], tally[value])
    return family


class DatabaseGauges:
    """Reads all gauges for Prometheus, for one client at a time."""

    def __init__(self, *readings: Reading) -> None:
        self.readings = list(readings)
        """Those of the library; a service's own are the `METRICS` of its wiring."""
        self._one_at_a_time = threading.Lock()
        self._read_at = float("-inf")
        self._kept: list[Metric] = []

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not query the database."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Called by Prometheus's library. Never raises: gauges that cannot be read are left out."""
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
        help_text = "1 if the database answered in time, else 0."
        name = "messaging_database_readable"
        return [GaugeMetricFamily(name, help_text, value=readable), *metrics]


@contextmanager
def _limited_time() -> Iterator[None]:
    """A short-lived connection whose statements time out."""
    try:
        connection.ensure_connection()
        if connection.vendor == "postgresql":
            # For this transaction: behind a pooler the session is not ours alone.
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = {int(TIME_LIMIT * 1000)}")
                yield
        else:
            deadline = time.monotonic() + TIME_LIMIT
            connection.connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
            yield
    finally:
        outage.forget_connection()


database_gauges = DatabaseGauges()

REGISTRY.register(database_gauges)
