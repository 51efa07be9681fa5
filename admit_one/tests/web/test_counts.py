"""Counting over a sliding minute, on a clock that the test moves."""

from __future__ import annotations

import threading

import pytest
from admit_one.web.limits import counts
from admit_one.web.limits.counts import Counts, Tally

MINUTE = 29_000_000


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = MINUTE * 60.0

    def time(self) -> float:
        return self.now

    monotonic = time


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(counts, "time", clock)
    return clock


def taken(counted: Counts, requests: int, limit: int = 10) -> int:
    """How many of these requests are within the limit."""
    return sum(counted.take("key", limit).ok for _ in range(requests))


@pytest.mark.usefixtures("clock")
def test_as_many_are_answered_as_the_limit_says():
    counted = Counts()

    allowances = [counted.take("key", 3) for _ in range(4)]

    assert [each.ok for each in allowances] == [True, True, True, False]
    assert [each.remaining for each in allowances] == [2, 1, 0, 0]
    assert counted.take("another", 3).ok


def test_around_the_turn_of_a_minute_nobody_gets_the_limit_twice(clock):
    counted = Counts()
    clock.now += 59
    before = taken(counted, 20)
    clock.now += 2

    assert (before, taken(counted, 20)) == (10, 0)


def test_who_always_tries_gets_nine_tenths_of_the_limit_and_never_more(clock):
    counted = Counts()
    answered = 0
    for _ in range(3_600):
        clock.now += 1
        answered += taken(counted, 5)

    assert 540 <= answered <= 600


@pytest.mark.parametrize("second", [0, 1, 30, 59])
@pytest.mark.parametrize("limit", [1, 2, 10, 1_000])
def test_after_the_seconds_in_the_answer_there_is_one_more_and_not_before(clock, second, limit):
    counted = Counts()
    clock.now += second
    while counted.take("key", limit).ok:
        pass
    wait = counted.take("key", limit).seconds

    clock.now += wait - 1.01
    early = counted.take("key", limit).ok
    clock.now += 1.01
    assert (early, counted.take("key", limit).ok) == (False, True)


@pytest.mark.usefixtures("clock")
def test_many_requests_are_counted_all_or_none():
    counted = Counts()
    many, too_many, rest = (counted.take("key", 10, requests) for requests in (6, 5, 4))

    assert [each.ok for each in (many, too_many, rest)] == [True, False, True]
    assert [each.remaining for each in (many, too_many, rest)] == [4, 4, 0]


@pytest.mark.parametrize("second", [0, 30, 59])
@pytest.mark.parametrize("requests", [2, 9, 10])
def test_after_the_seconds_in_the_answer_there_are_so_many_and_not_before(clock, second, requests):
    counted = Counts()
    clock.now += second
    taken(counted, 10)
    wait = counted.take("key", 10, requests).seconds

    clock.now += wait - 1.01
    early = counted.take("key", 10, requests).ok
    clock.now += 1.01
    assert (early, counted.take("key", 10, requests).ok) == (False, True)


def test_a_refused_request_does_not_prolong_the_wait(clock):
    counted = Counts()
    taken(counted, 10)
    for _ in range(120):
        clock.now += 0.5
        counted.take("key", 1)
    clock.now += 60

    assert taken(counted, 20) == 10


def test_a_steady_client_below_the_limit_is_never_refused(clock):
    counted = Counts()
    refused = 0
    for _ in range(1_000):
        clock.now += 60 / 8.9
        refused += 1 - taken(counted, 1)

    assert refused == 0


@pytest.mark.parametrize("step", [-86_400, -120, 86_400])
def test_a_clock_that_is_set_locks_nobody_out(clock, step):
    counted = Counts()
    taken(counted, 10)
    clock.now += step

    assert taken(counted, 1) == 1


def test_a_clock_that_goes_back_a_little_gives_nothing_away(clock):
    counted = Counts()
    taken(counted, 10)
    clock.now -= 0.5

    assert taken(counted, 5) == 0


def test_the_totals_of_all_processes_count(clock):
    counted = Counts()
    taken(counted, 2)
    drained = counted.drain()
    taken(counted, 1)
    counted.learn([Tally("key", MINUTE, 8, 0)], clock.now)

    assert drained == [Tally("key", MINUTE, 2, 0)]
    assert taken(counted, 5) == 1


@pytest.mark.parametrize("apart", [-3_600, -60, 60, 3_600])
def test_a_process_takes_over_the_clock_of_the_store(clock, apart):
    counted = Counts()
    taken(counted, 4)
    counted.drain()
    counted.learn([Tally("key", MINUTE + apart // 60, 7, 0)], clock.now + apart)

    assert taken(counted, 10) == 3


def test_what_was_counted_before_the_turn_is_added_to_the_minute_before(clock):
    counted = Counts()
    taken(counted, 4)
    clock.now += 60
    taken(counted, 1)

    assert counted.drain() == [Tally("key", MINUTE + 1, 1, 4)]
    assert counted.drain() == []


def test_after_an_outage_the_store_gets_the_last_two_minutes_at_most(clock):
    counted = Counts()
    given = []
    for _ in range(10):
        taken(counted, 5, limit=5)
        given = counted.drain()
        counted.give_back(given)
        clock.now += 60
    clock.now -= 60

    assert sum(each.requests + each.previous for each in given) <= 10


def test_what_the_store_did_not_take_before_the_turn_belongs_to_the_minute_before(clock):
    counted = Counts()
    taken(counted, 4)
    drained = counted.drain()
    clock.now += 60
    taken(counted, 1)
    counted.give_back(drained)

    assert counted.drain() == [Tally("key", MINUTE + 1, 1, 4)]


@pytest.mark.usefixtures("clock")
def test_subjects_beyond_the_most_are_let_through_and_take_no_memory():
    counted = Counts(most=100)
    allowed = [counted.take(f"address {n}", 1).ok for n in range(10_000)]

    assert all(allowed)
    assert len(counted.drain()) == 100
    assert not counted.take("address 1", 1).ok


def test_subjects_without_weight_are_forgotten(clock):
    counted = Counts(most=1)
    counted.take("one", 1)
    counted.drain()
    clock.now += 121
    counted.drain()
    counted.take("two", 1)

    assert not counted.take("two", 1).ok


@pytest.mark.usefixtures("clock")
def test_threads_together_get_no_more_than_the_limit():
    counted, got = Counts(), []
    threads = [
        threading.Thread(target=lambda: got.append(taken(counted, 500, 700))) for _ in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(got) == 700
