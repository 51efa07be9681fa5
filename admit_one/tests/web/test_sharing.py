"""Several processes, each with counts of its own, add them up in the database or in Redis."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from admit_one.web.limits import sharing, stores
from admit_one.web.limits.counts import Counts, Tally
from admit_one.web.limits.stores import in_database, in_redis
from admit_one.web.models import ApiKey, RateCount
from django.db import OperationalError, connection
from redis import Redis
from redis.exceptions import ConnectionError as RedisAway

from tools.servers.redis_server import RedisServer, skip_without_redis

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


class InDatabase:
    """The database as a store, and what a test sees and does in it."""

    away = OperationalError("connection refused")
    queries = 1
    """Of the database, for each sharing."""

    def __init__(self, monkeypatch) -> None:
        self.store = in_database
        if connection.vendor == "sqlite":
            clock = SimpleNamespace(time=lambda: MINUTE * 60.0 + 30)
            monkeypatch.setattr(in_database, "time", clock)
        else:
            fixed = in_database.ON_POSTGRESQL.replace(
                "clock_timestamp()", f"to_timestamp({MINUTE * 60 + 30})"
            )
            monkeypatch.setattr(in_database, "ON_POSTGRESQL", fixed)

    def keep(self, total: Tally) -> None:
        subject, minute, count, previous = total
        RateCount.objects.create(subject=subject, minute=minute, count=count, previous=previous)

    def kept(self) -> dict[str, int]:
        return dict(RateCount.objects.values_list("subject", "count"))


class InRedis:
    away = RedisAway("connection refused")
    queries = 0

    def __init__(self, monkeypatch, settings, server: RedisServer) -> None:
        fixed = f"{{'{MINUTE * 60 + 30}', '0'}}"
        monkeypatch.setattr(in_redis, "ADD", in_redis.ADD.replace("redis.call('TIME')", fixed))
        self.redis = Redis.from_url(server.url)
        self.redis.flushdb()
        settings.LIMITS_URL = server.url
        self.store = in_redis.RedisStore(server.url)
        monkeypatch.setattr(stores, "_in_redis", lambda url: self.store)

    def keep(self, total: Tally) -> None:
        subject, *numbers = total
        named = zip(("minute", "count", "previous"), numbers, strict=True)
        self.redis.hset(in_redis._key(subject), mapping=dict(named))

    def kept(self) -> dict[str, int]:
        return {
            key.decode().partition("}:")[2]: int(self.redis.hget(key, "count") or 0)
            for key in self.redis.scan_iter()
        }


@pytest.fixture(scope="module")
def redis_server():
    skip_without_redis()
    with ExitStack() as stack:
        yield RedisServer(stack)


@pytest.fixture(params=["database", "redis"], autouse=True)
def at(request, monkeypatch, settings):
    """The store, whose clock stands still, 30 s into a minute."""
    if request.param == "database":
        yield InDatabase(monkeypatch)
        return
    store = InRedis(monkeypatch, settings, request.getfixturevalue("redis_server"))
    yield store
    store.redis.close()
    store.store.forget_connection()


only_in_the_database = pytest.mark.parametrize("at", ["database"], indirect=True)
only_in_redis = pytest.mark.parametrize("at", ["redis"], indirect=True)


def test_what_one_process_lets_through_another_knows_after_both_shared(monkeypatch):
    one, other = Process(), Process()
    assert (one.take(60), other.take(30)) == (60, 30)
    one.share(monkeypatch)
    other.share(monkeypatch)

    assert other.take(50) == 10


def test_processes_that_have_not_shared_let_through_the_limit_each_and_no_more(monkeypatch, at):
    processes = [Process() for _ in range(3)]
    first = [process.take(200) for process in processes]
    for process in processes:
        process.share(monkeypatch)

    assert first == [100, 100, 100]
    assert at.kept() == {"key": 300}
    assert processes[-1].take(10) == 0


def test_many_subjects_are_one_statement(at, django_assert_num_queries):
    process = Process()
    for n in range(500):
        process.take(1, f"key {n}")
    drained = process.keys.drain()
    with django_assert_num_queries(at.queries):
        totals, _ = at.store.add(drained)

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
def test_a_count_of_another_minute_is_turned(at, kept, after):
    ago, count, previous = kept
    at.keep(Tally("k", MINUTE + ago, count, previous))

    [total], now = at.store.add([Tally("k", MINUTE, 2, 1)])

    assert now == MINUTE * 60 + 30

    assert (total.minute - MINUTE, total.requests, total.previous) == after


def test_while_the_store_is_away_the_process_goes_on_with_its_own_count(monkeypatch, at):
    process = Process()
    process.take(60)

    def away(_):
        raise at.away

    with monkeypatch.context() as patch:
        patch.setattr(at.store, "add", away)
        for _ in range(3):
            with pytest.raises(at.store.OUTAGE_ERRORS):
                process.share(monkeypatch)
            process.take(10)
    process.share(monkeypatch)

    assert process.take(50) == 10
    assert at.kept() == {"key": 90}


def test_a_keys_last_use_is_noted_once_a_minute(monkeypatch, at, django_assert_num_queries):
    key = ApiKey.objects.issue("shop", scopes=["webhooks"]).split("_")[1]
    process = Process()
    process.take(1, key)
    process.share(monkeypatch)
    process.take(1, key)
    with django_assert_num_queries(at.queries):
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


@only_in_the_database
def test_rows_without_weight_are_pruned(monkeypatch):
    for name, age in (("old", 3), ("young", 1)):
        RateCount.objects.create(subject=name, minute=MINUTE - age, count=1, previous=0)
    process = Process()
    process.take(1)
    process.share(monkeypatch)

    assert set(RateCount.objects.values_list("subject", flat=True)) == {"young", "key"}


@pytest.mark.django_db(transaction=True)
def test_processes_that_add_the_same_rows_at_once_lose_nothing_and_never_deadlock(at):
    subjects = [f"key {n}" for n in range(50)]

    def add_often(seed: int) -> None:
        draw = random.Random(seed)
        for _ in range(20):
            at.store.add([Tally(name, MINUTE, 1, 0) for name in draw.sample(subjects, 50)])
        connection.close()

    with ThreadPoolExecutor(4) as processes:
        list(processes.map(add_often, range(4)))

    assert at.kept() == dict.fromkeys(subjects, 80)


@only_in_redis
def test_keys_in_redis_belong_to_one_service_and_expire(at, monkeypatch):
    process = Process()
    process.take(1)
    process.share(monkeypatch)

    [key] = at.redis.keys()
    assert key == b"{student_service.limits}:key"
    assert 170 < at.redis.ttl(key) <= 180


@pytest.mark.django_db(transaction=True)
@only_in_redis
def test_an_outage_of_redis_is_announced_once_and_its_end_once(at, monkeypatch, caplog):
    process = Process()
    process.take(1)

    def away(_):
        raise at.away

    with monkeypatch.context() as patch:
        patch.setattr(sharing, "keys", process.keys)
        patch.setattr(at.store, "add", away)
        assert [process.sharer._try_to_share() for _ in range(3)] == [False] * 3
    with monkeypatch.context() as patch:
        patch.setattr(sharing, "keys", process.keys)
        assert process.sharer._try_to_share()

    assert [record.event for record in caplog.records] == ["counts_not_shared", "counts_shared"]
    assert "because Redis does not take the counts" in caplog.text
    assert at.kept() == {"key": 1}


@only_in_redis
def test_without_the_database_counts_are_still_shared_in_redis(at, monkeypatch, caplog):
    process = Process()
    process.take(1)

    def away(*_):
        raise OperationalError("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(sharing, "keys", process.keys)
        patch.setattr(process.sharer, "_note_uses", away)
        assert process.sharer._try_to_share()

    assert at.kept() == {"key": 1}
    assert [record.event for record in caplog.records] == ["uses_not_noted"]
