"""The one retry loop for a database that is unavailable."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from admit_one.database import outage
from django.db import OperationalError


class Clock:
    """Time that passes only when a step takes some of it."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(outage, "time", SimpleNamespace(monotonic=clock.monotonic))
    monkeypatch.setattr(outage, "forget_connection", lambda: None)
    return clock


def outlast_failures(clock: Clock, seconds: list[float], *, steady: float) -> list[float]:
    """The pauses after steps that run for so many `seconds` before they fail; the last works."""
    left, pauses = iter(seconds), []

    def step() -> None:
        if (duration := next(left, None)) is not None:
            clock.now += duration
            raise OperationalError

    outage.outlast(step, lambda pause, _: pauses.append(pause), at_most=10.0, steady=steady)
    return pauses


def test_a_step_that_fails_after_a_long_run_is_retried(clock: Clock) -> None:
    assert len(outlast_failures(clock, [20.0, 1.0], steady=10.0)) == 2


def test_an_outage_that_lasts_too_long_is_raised(clock: Clock) -> None:
    with pytest.raises(outage.NotNow):
        outlast_failures(clock, [4.0, 4.0, 4.0], steady=5.0)
