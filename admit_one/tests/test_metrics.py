"""Gauges that Prometheus reads from the database are right, bounded and cheap."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from admit_one.contract.errors import Malformed, Transient
from admit_one.messaging import metrics as messaging_metrics
from admit_one.messaging.inbox import Received
from admit_one.messaging.metrics import outbox, set_aside
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.set_aside import keeping
from admit_one.metrics import DatabaseGauges
from django.db import DatabaseError, connection
from django.db.models.functions import Now

from admit_one import metrics

pytestmark = pytest.mark.django_db(transaction=True)


def wait_since(seconds: float, *, number: int = 1, **fields: object) -> None:
    """Rows written so long ago, unsent unless `fields` say otherwise."""
    rows = [OutboxMessage(event_id="e", type="t", subject="s", body=b"") for _ in range(number)]
    ids = [row.id for row in OutboxMessage.objects.bulk_create(rows, batch_size=10_000)]
    at = Now() - timedelta(seconds=seconds)
    written = OutboxMessage.objects.filter(id__gte=min(ids), id__lte=max(ids))
    written.update(**{"created_at": at, "next_attempt_at": at, **fields})


def reported() -> dict[tuple[str, ...], float]:
    """All gauges, by name and labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for metric in DatabaseGauges(outbox, set_aside).collect()
        for sample in metric.samples
    }


def test_an_empty_outbox_has_no_age():
    assert reported()["messaging_outbox_oldest_unsent_seconds",] == 0
    assert reported()["messaging_outbox_unsent",] == 0


def test_the_age_is_that_of_the_oldest_waiting_event():
    wait_since(900, published_at=Now())
    wait_since(60)
    wait_since(5)

    assert reported()["messaging_outbox_oldest_unsent_seconds",] == pytest.approx(60, abs=5)
    assert reported()["messaging_outbox_unsent",] == 2


def test_a_refused_row_counts_with_its_full_age():
    wait_since(5)
    wait_since(600, attempts=7, next_attempt_at=Now() + timedelta(seconds=200))

    assert reported()["messaging_outbox_oldest_unsent_seconds",] == pytest.approx(600, abs=5)


def test_counting_stops_at_a_bound(monkeypatch):
    monkeypatch.setattr(metrics, "AT_MOST", 10)
    wait_since(5, number=25)

    assert reported()["messaging_outbox_unsent",] == 10


def test_groups_beyond_the_largest_are_reported_together(monkeypatch):
    monkeypatch.setattr(messaging_metrics, "GROUPS", 1)
    for number, error in enumerate([Transient("a"), Transient("b"), Malformed("c"), OSError("d")]):
        message = Received.read(b"%d" % number, queue="q")
        keeping.keep(message, error, dead=True)

    counted = {
        labels[1:]: n for labels, n in reported().items() if labels[0] == "messaging_set_aside"
    }
    assert counted == {("dead", "Transient"): 2, ("dead", "other"): 2}


def test_a_slow_database_is_reported_within_the_deadline(monkeypatch):
    wait_since(5, number=3)
    monkeypatch.setattr(metrics, "TIME_LIMIT", 0.05)

    def endless():
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SELECT pg_sleep(60)")
            else:
                cursor.execute(
                    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
                    " SELECT count(*) FROM n"
                )
        yield from ()

    gauges = DatabaseGauges(endless)
    started = time.monotonic()

    assert [sample.value for metric in gauges.collect() for sample in metric.samples] == [0]
    assert time.monotonic() - started < 10


def test_concurrent_scrapes_share_one_reading():
    readings = []

    def reading():
        readings.append(1)
        yield from ()

    gauges = DatabaseGauges(reading)
    for _ in range(5):
        list(gauges.collect())

    assert readings == [1]


def test_a_reading_leaves_no_connection_open():
    reported()

    assert connection.connection is None
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:  # pragma: no cover
        pytest.fail(str(error))
