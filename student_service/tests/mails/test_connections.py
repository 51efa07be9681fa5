"""How many connections there may be, as time goes by and the server answers."""

from __future__ import annotations

import pytest
from access_codes.mails import connections
from access_codes.mails.attempt import Attempt, Ending
from access_codes.mails.connections import MORE_AFTER, SLOW, Connections
from pytest_django import Settings

from tests.mails.scripted_server import Clock

SENT = Attempt(Ending.SENT, "250 taken", "example.org")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Clock:
    settings.EMAIL_CONNECTIONS = 8
    clock = Clock()
    monkeypatch.setattr(connections, "time", clock)
    return clock


def ten_times(made: Connections, clock: Clock, seconds: float) -> list[int]:
    """How many are allowed, so many seconds apart, while none answers."""
    allowed = []
    for _ in range(10):
        clock.advance(seconds)
        allowed.append(made.allowed(in_hand=1))
    return allowed


def test_without_an_answer_one_more_comes_after_growing_times(clock: Clock) -> None:
    made = Connections(lambda _: None)
    made.note(Attempt(Ending.LOST, "cut"))  # the clock starts
    assert made.allowed(in_hand=1) == 1

    assert ten_times(made, clock, SLOW * 1.01) == [2, 2, 3, 3, 3, 3, 4, 4, 4, 4]


def test_answers_double_it_up_to_the_limit(clock: Clock) -> None:
    made = Connections(lambda _: None)
    allowed = []
    for _ in range(5):
        made.note(SENT)
        allowed.append(made.allowed(in_hand=1))

    assert allowed == [2, 4, 8, 8, 8]


def test_a_server_that_takes_fewer_is_asked_for_one_more_each_time(clock: Clock) -> None:
    made = Connections(lambda _: None)
    for _ in range(5):
        made.note(SENT)
    made.be_fewer()
    assert made.allowed(in_hand=0) == 1

    clock.advance(MORE_AFTER * 1.01)
    assert made.allowed(in_hand=0) == 2
    assert made.allowed(in_hand=0) == 2

    clock.advance(MORE_AFTER * 3)
    assert made.allowed(in_hand=0) == 5


def test_what_was_known_of_a_server_is_forgotten_when_it_breaks(clock: Clock) -> None:
    made = Connections(lambda _: None)
    made.be_fewer()
    made.note(Attempt(Ending.DROPPED, "cut"))
    assert made.allowed(in_hand=0) == 1

    made.note(SENT)
    made.note(SENT)
    assert made.allowed(in_hand=0) == 4
