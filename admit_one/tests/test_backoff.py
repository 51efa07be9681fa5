"""Pauses grow, stay below their limit, and differ."""

from __future__ import annotations

from admit_one.processes.stopping import next_delay
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(1, 10**9), st.floats(0.01, 10), st.floats(10, 1000))
def test_a_pause_doubles_with_jitter_up_to_a_limit(n, first, most):
    step = min(first * 2.0 ** min(n - 1, 40), most)

    assert step / 2 <= next_delay(n, first=first, most=most) <= step


def test_clients_that_fail_together_do_not_retry_together():
    assert len({next_delay(5, first=1, most=100) for _ in range(20)}) > 1
