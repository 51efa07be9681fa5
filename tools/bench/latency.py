"""One subscription at a time: from the POST until its code is there to be shown."""

from __future__ import annotations

import http.client
import json
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from urllib.parse import urlsplit
from uuid import UUID

import psycopg

from .contenders import events
from .drain import Progress, Stuck

LOOK_EVERY = 0.0003
"""Seconds between two looks at the row."""

REST = 0.1, 0.2
"""Seconds between two subscriptions, drawn anew each time: the system is idle, and in no rhythm."""

PATIENCE = 20.0
WARM_UP = 10


@dataclass(frozen=True)
class Latencies:
    """Seconds from the request: until it was answered, and until the code was there."""

    accepted: list[float]
    shown: list[float]


def percentile(values: Sequence[float], share: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]


class Customer:
    """Posts over one kept connection, and then watches the row that a GET would show.

    Asking by GET would keep the web process busy while we wait. `shown_when` is a query that has
    an answer for the subscription's id once its code is there.
    """

    def __init__(
        self, web_url: str, database_url: str, shown_when: LiteralString, api_key: str = ""
    ) -> None:
        address = urlsplit(web_url)
        self._web = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
        self._database = psycopg.connect(database_url, autocommit=True)
        self._shown_when = shown_when
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {api_key}"}

    def close(self) -> None:
        self._web.close()
        self._database.close()

    def once(self, number: int) -> tuple[float, float]:
        """Post one subscription: seconds until the answer, and until its code was there."""
        body = json.dumps(events.a_subscription(number))
        start = time.perf_counter()
        posted = self._post(body)
        accepted = time.perf_counter() - start
        key = UUID(posted["id"])
        while not self._database.execute(self._shown_when, [key]).fetchone():
            if time.perf_counter() - start > PATIENCE:
                raise Stuck(f"no code for subscription {key} in {PATIENCE:.0f} s")
            time.sleep(LOOK_EVERY)
        return accepted, time.perf_counter() - start

    def _post(self, body: str) -> Any:
        self._web.request("POST", "/v1/subscriptions", body, self._headers)
        answer = self._web.getresponse()
        text = answer.read()
        if answer.status != 202:
            raise Stuck(f"POST answered {answer.status}: {text.decode()}")
        return json.loads(text)


def in_turn(
    customers: Mapping[str, Customer], count: int, progress: Progress
) -> dict[str, Latencies]:
    """`count` subscriptions of each, taking turns, after a few that are not counted.

    So whatever else the machine does meanwhile, it does to all of them.
    """
    measured: dict[str, Latencies] = {name: Latencies([], []) for name in customers}
    for number in range(WARM_UP + count):
        for name, customer in customers.items():
            time.sleep(random.uniform(*REST))  # noqa: S311 (no secret)
            accepted, shown = customer.once(number)
            if number >= WARM_UP:
                measured[name].accepted.append(accepted)
                measured[name].shown.append(shown)
        progress(max(0, number + 1 - WARM_UP))
    return measured
