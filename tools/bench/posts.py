"""Measures how many POSTs a second one web process accepts.

    python -m tools.bench.posts WHAT URL SECONDS

The API key is on standard input, and on further lines the codes to ask about.
Runs as a separate process. Several clients, each with one connection, send the next request as soon
as the last one is answered. Of subscriptions, half have an Idempotency-Key; each redemption has a
reference of its own. Prints the rate.
"""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from tools import rest
from tools.system.commands import ROOT

from .contender import NoProgress, RunningContender
from .contenders import events

Request = tuple[str, dict[str, Any], Mapping[str, str], int]
"""Path, body and headers, and the status of its answer."""

CLIENTS = 8
WARM_UP = 2.0
"""Seconds before counting starts."""


def a_subscription(number: int, sent: int, _: Sequence[str]) -> Request:
    key = {"Idempotency-Key": str(uuid.uuid4())} if sent % 2 == 0 else {}
    return "/v1/subscriptions", events.a_subscription(number), key, 202


def a_validation(number: int, sent: int, codes: Sequence[str]) -> Request:
    code = codes[(sent * CLIENTS + number) % len(codes)]
    return "/v1/access-codes/validate", {"code": code, "plan": events.PLAN}, {}, 200


def a_redemption(number: int, sent: int, codes: Sequence[str]) -> Request:
    _, body, headers, status = a_validation(number, sent, codes)
    named = body | {"reference": str(uuid.uuid4())}
    return "/v1/access-codes/redeem", named, headers, status


REQUESTS: Mapping[str, Callable[[int, int, Sequence[str]], Request]] = {
    "subscriptions": a_subscription,
    "validate": a_validation,
    "redeem": a_redemption,
}
"""Makes the request that a client sends, from the number of the client and of the request."""


def accepted(
    what: str, web: rest.Client, codes: Sequence[str], number: int, during: tuple[float, float]
) -> int:
    """The number of POSTs that one client sent, and that were accepted, `during` that time.

    Raises `NoProgress` if one is refused.
    """
    count = sent = 0
    start, end = during
    with closing(web):
        while (began := time.perf_counter()) < end:
            sent += 1
            path, body, more, status = REQUESTS[what](number, sent, codes)
            answer = web.call("POST", path, body, more)
            if answer.status != status or answer.body.get("valid", True) is not True:
                raise NoProgress(f"{answer.status}: {answer.body}"[:200])
            if start <= began and time.perf_counter() <= end:
                count += 1
    return count


def rate(contender: RunningContender, seconds: float, what: str = "subscriptions") -> float:
    """The POSTs a second that a contender accepts. Raises `NoProgress` if it refuses one."""
    command = [sys.executable, "-m", __name__, what, contender.web_url, str(seconds)]
    lines = "\n".join((contender.api_key, *contender.codes))
    done = subprocess.run(
        command, cwd=ROOT, input=lines, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NoProgress(f"{contender.web_url}: {done.stderr.strip()}")
    return float(done.stdout)


def main(arguments: Sequence[str]) -> None:
    what, url, seconds = arguments[0], arguments[1], float(arguments[2])
    api_key, *codes = sys.stdin.read().split("\n")
    headers = {"Authorization": f"Bearer {api_key}"}
    start = time.perf_counter() + WARM_UP
    during = start, start + seconds
    with ThreadPoolExecutor(CLIENTS) as clients:
        counts = [
            clients.submit(
                accepted, what, rest.Client(url, headers, timeout=30), codes, number, during
            )
            for number in range(CLIENTS)
        ]
    try:
        print(sum(count.result() for count in counts) / seconds)
    except NoProgress as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
