"""Times single subscriptions, from the POST until the API can show the code."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import psycopg

from tools import rest

from .contender import NoProgress, Progress, RunningContender
from .contenders import events

LOOK_EVERY = 0.0003
"""Seconds between two queries for the code."""

PAUSE = 0.1, 0.2
"""Seconds between two subscriptions, random so that they fall into no rhythm."""

PATIENCE = 20.0
WARM_UP = 10


@dataclass(frozen=True)
class Latencies:
    """Seconds from the request to its answer, and to the code."""

    accepted: list[float]
    shown: list[float]


def percentile(values: Sequence[float], share: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]


class LatencyClient:
    """Posts over one connection, and polls the database: GETs would keep the web process busy."""

    def __init__(self, contender: RunningContender) -> None:
        headers = {"Authorization": f"Bearer {contender.api_key}"}
        self._web = rest.Client(contender.web_url, headers, timeout=30)
        self._database = psycopg.connect(contender.database_url, autocommit=True)
        self._has_code = contender.has_code

    def close(self) -> None:
        self._web.close()
        self._database.close()

    def once(self, number: int) -> tuple[float, float]:
        """Post one subscription; returns the seconds until the answer, and until the code."""
        subscription = events.a_subscription(number)
        start = time.perf_counter()
        answer = self._web.call("POST", "/v1/subscriptions", subscription)
        accepted = time.perf_counter() - start
        if answer.status != 202:
            raise NoProgress(f"POST answered {answer.status}: {answer.body}")
        key = UUID(answer.body["id"])
        while not self._database.execute(self._has_code, [key]).fetchone():
            if time.perf_counter() - start > PATIENCE:
                raise NoProgress(f"no code for subscription {key} in {PATIENCE:.0f} s")
            time.sleep(LOOK_EVERY)
        return accepted, time.perf_counter() - start


def in_turn(
    clients: Mapping[str, LatencyClient], count: int, progress: Progress
) -> dict[str, Latencies]:
    """Time `count` subscriptions of each client, after a warm-up.

    They take turns, so that other load on the machine affects all of them.
    """
    measured: dict[str, Latencies] = {name: Latencies([], []) for name in clients}
    for number in range(WARM_UP + count):
        for name, client in clients.items():
            time.sleep(random.uniform(*PAUSE))  # noqa: S311 (no secret)
            accepted, shown = client.once(number)
            if number >= WARM_UP:
                measured[name].accepted.append(accepted)
                measured[name].shown.append(shown)
        progress(max(0, number + 1 - WARM_UP))
    return measured
