"""Measures how many POSTs a second one web process accepts.

    python -m tools.bench.posts URL SECONDS      (the API key on standard input)

Runs as a separate process. Several clients, each with one connection, send the next request as soon
as the last one is answered. Half of the requests have an Idempotency-Key. Prints the rate.
"""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from tools import rest
from tools.system.commands import ROOT

from .contender import NoProgress, RunningContender
from .contenders import events

CLIENTS = 8
WARM_UP = 2.0
"""Seconds before counting starts."""


def accepted(
    url: str, headers: Mapping[str, str], number: int, count_from: float, end: float
) -> int:
    """The number of POSTs that one client sent after `count_from` and that were accepted by `end`.

    Raises `NoProgress` if one is refused.
    """
    count = sent = 0
    with closing(rest.Client(url, headers, timeout=30)) as web:
        while (start := time.perf_counter()) < end:
            sent += 1
            key = {"Idempotency-Key": str(uuid.uuid4())} if sent % 2 == 0 else {}
            answer = web.call("POST", "/v1/subscriptions", events.a_subscription(number), key)
            if answer.status != 202:
                raise NoProgress(f"{answer.status}: {answer.body}"[:200])
            if count_from <= start and time.perf_counter() <= end:
                count += 1
    return count


def rate(contender: RunningContender, seconds: float) -> float:
    """The POSTs a second that a contender accepts. Raises `NoProgress` if it refuses one."""
    command = [sys.executable, "-m", __name__, contender.web_url, str(seconds)]
    done = subprocess.run(
        command, cwd=ROOT, input=contender.api_key, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NoProgress(f"{contender.web_url}: {done.stderr.strip()}")
    return float(done.stdout)


def main(arguments: Sequence[str]) -> None:
    url, seconds = arguments[0], float(arguments[1])
    headers = {"Authorization": f"Bearer {sys.stdin.read()}"}
    count_from = time.perf_counter() + WARM_UP
    with ThreadPoolExecutor(CLIENTS) as clients:
        counts = [
            clients.submit(accepted, url, headers, number, count_from, count_from + seconds)
            for number in range(CLIENTS)
        ]
    try:
        print(sum(count.result() for count in counts) / seconds)
    except NoProgress as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
