"""One subscription at a time: from the POST until its code is there to be shown."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import psycopg

from tools import rest

from .contender import Progress, Running, Stuck
from .contenders import events

LOOK_EVERY = 0.0003
"""Seconds between two looks at the row."""

REST = 0.1, 0.2
"""Seconds between two subscriptions, drawn each time: the system is idle, and in no rhythm."""

PATIENCE = 20.0
WARM_UP = 10


@dataclass(frozen=True)
class Latencies:
    """Seconds from the request: until it was answered, and until the code was there."""

    accepted: list[float]
    shown: list[float]


def percentile(values: Sequence[float], share: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]


class Client:
    """Posts over one kept connection, and then watches the row that a GET would show.

    GETs would keep the web process busy while we wait.
    """

    def __init__(self, contender: Running) -> None:
        headers = {"Authorization": f"Bearer {contender.api_key}"}
        self._web = rest.Client(contender.web_url, headers, timeout=30)
        self._database = psycopg.connect(contender.database_url, autocommit=True)
        self._has_code = contender.has_code

    def close(self) -> None:
        self._web.close()
        self._database.close()

    def once(self, number: int) -> tuple[float, float]:
        """Post one subscription: seconds until the answer, and until its code was there."""
        subscription = events.a_subscription(number)
        start = time.perf_counter()
        answer = self._web.call("POST", "/v1/subscriptions", subscription)
        accepted = time.perf_counter() - start
        if answer.status != 202:
            raise Stuck(f"POST answered {answer.status}: {answer.body}")
        key = UUID(answer.body["id"])
        while not self._database.execute(self._has_code, [key]).fetchone():
            if time.perf_counter() - start > PATIENCE:
                raise Stuck(f"no code for subscription {key} in {PATIENCE:.0f} s")
            time.sleep(LOOK_EVERY)
        return accepted, time.perf_counter() - start


def in_turn(clients: Mapping[str, Client], count: int, progress: Progress) -> dict[str, Latencies]:
    """`count` subscriptions of each, taking turns, after a few that are not counted.

    So whatever else the machine does meanwhile, it does to all of them.
    """
    measured: dict[str, Latencies] = {name: Latencies([], []) for name in clients}
    for number in range(WARM_UP + count):
        for name, client in clients.items():
            time.sleep(random.uniform(*REST))  # noqa: S311 (no secret)
            accepted, shown = client.once(number)
            if number >= WARM_UP:
                measured[name].accepted.append(accepted)
                measured[name].shown.append(shown)
        progress(max(0, number + 1 - WARM_UP))
    return measured
