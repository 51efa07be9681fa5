"""Several processes, each with counts of its own, add them up in the database."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from admit_one.database import outage
from admit_one.web import limit_store, sharing
from admit_one.web.counts import Counts, Tally
from admit_one.web.models import ApiKey, RateCount
from django.db import OperationalError, connection

pytestmark = pytest.mark.django_db


MINUTE = 29_000_000
NOW = datetime.fromtimestamp(MINUTE * 60, UTC)


class Process:
    """What one process has counted."""

    def __init__(self) -> None:
        self.keys, self.sharer = Counts(), sharing.Sharer()

    def take(self, requests: int, subject: str = "key", limit: int = 100) -> int:
        return sum(self.keys.take(subject, limit).ok for _ in range(requests))

    def share(self, monkeypatch) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(sharing, "keys", self.keys)
            self.sharer.share()


@pytest.fixture(autouse=True)
def in_one_minute(monkeypatch):
    """The clock of the database stands still, 30 s into a minute, for what the test adds."""
    if connection.vendor == "sqlite":
        clock = SimpleNamespace(time=lambda: MINUTE * 60.0 + 30)
        monkeypatch.setattr(limit_store, "time", clock)
    else:
        fixed = limit_store.ON_POSTGRESQL.replace(
            "clock_timestamp()", f"to_timestamp({MINUTE * 60 + 30})"
        )
        monkeypatch.setattr(limit_store, "ON_POSTGRESQL", fixed)


def test_what_one_process_lets_through_another_knows_after_both_shared(monkeypatch):
    one, other = Process(), Process()
    assert (one.take(60), other.take(30)) == (60, 30)
    one.share(monkeypatch)
    other.share(monkeypatch)

    assert other.take(50) == 10


def test_processes_that_have_not_shared_let_through_the_limit_each_and_no_more(monkeypatch):
    processes = [Process() for _ in range(3)]
    first = [process.take(200) for process in processes]
    for process in processes:
        process.share(monkeypatch)

    assert first == [100, 100, 100]
    assert RateCount.objects.get(subject="key").count == 300
    assert processes[-1].take(10) == 0


def test_many_subjects_are_one_statement(monkeypatch, django_assert_num_queries):
    process = Process()
    for n in range(500):
        process.take(1, f"key {n}")
    drained = process.keys.drain()
    with django_assert_num_queries(1):
        totals, _ = limit_store.add(drained)

    assert {(each.subject, each.requests) for each in totals} == {
        (f"key {n}", 1) for n in range(500)
    }


@pytest.mark.parametrize(
    ("kept", "after"),
    [
        ((0, 5, 3), (0, 7, 4)),  # this minute
        ((-1, 5, 3), (0, 2, 6)),  # the minute before becomes the previous one
        ((1, 5, 3), (1, 5, 5)),  # the clock has turned while we waited
        ((-2, 5, 3), (0, 2, 1)),  # long ago
        ((9, 5, 3), (0, 2, 1)),  # the clock was set back
    ],
)
def test_a_row_of_another_minute_is_turned(kept, after):
    ago, count, previous = kept
    RateCount.objects.create(subject="k", minute=MINUTE + ago, count=count, previous=previous)

    [total], _ = limit_store.add([Tally("k", MINUTE, 2, 1)])

    assert (total.minute - MINUTE, total.requests, total.previous) == after


def test_while_the_database_is_away_the_process_goes_on_with_its_own_count(monkeypatch):
    process = Process()
    process.take(60)

    def away(_):
        raise OperationalError("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(limit_store, "add", away)
        for _ in range(3):
            with pytest.raises(outage.DATABASE_ERRORS):
                process.share(monkeypatch)
            process.take(10)
    process.share(monkeypatch)

    assert process.take(50) == 10
    assert RateCount.objects.get(subject="key").count == 90


def test_a_keys_last_use_is_noted_once_a_minute(monkeypatch, django_assert_num_queries):
    key = ApiKey.objects.issue("shop", scopes=["webhooks"]).split("_")[1]
    process = Process()
    process.take(1, key)
    process.share(monkeypatch)
    process.take(1, key)
    with django_assert_num_queries(1):
        process.share(monkeypatch)

    assert ApiKey.objects.get(prefix=key).last_used_at == NOW


def test_another_process_does_not_note_the_same_minute_again(monkeypatch):
    key = ApiKey.objects.issue("shop", scopes=["webhooks"]).split("_")[1]
    later = NOW + timedelta(minutes=1)
    ApiKey.objects.filter(prefix=key).update(last_used_at=later)
    process = Process()
    process.take(1, key)
    process.share(monkeypatch)

    assert ApiKey.objects.get(prefix=key).last_used_at == later


def test_rows_without_weight_are_pruned(monkeypatch):
    for name, age in (("old", 3), ("young", 1)):
        RateCount.objects.create(subject=name, minute=MINUTE - age, count=1, previous=0)
    process = Process()
    process.take(1)
    process.share(monkeypatch)

    assert set(RateCount.objects.values_list("subject", flat=True)) == {"young", "key"}


@pytest.mark.django_db(transaction=True)
def test_processes_that_add_the_same_rows_at_once_lose_nothing_and_never_deadlock():
    subjects = [f"key {n}" for n in range(50)]

    def add_often(seed: int) -> None:
        draw = random.Random(seed)
        for _ in range(20):
            limit_store.add([Tally(name, MINUTE, 1, 0) for name in draw.sample(subjects, 50)])
        connection.close()

    with ThreadPoolExecutor(4) as processes:
        list(processes.map(add_often, range(4)))

    assert set(RateCount.objects.values_list("count", flat=True)) == {80}
