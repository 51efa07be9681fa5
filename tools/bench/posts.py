"""As many POSTs as one web process accepts.

    python -m tools.bench.posts URL SECONDS      (the API key on standard input)

A process of its own: several clients, each with one kept connection, send the next request as soon
as the last one is answered. Half of the requests bring an Idempotency-Key.
Prints how many were accepted a second.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence

from tools import rest
from tools.system.commands import ROOT

from .contender import Running, Stuck
from .contenders import events

CLIENTS = 8
WARM_UP = 2.0
"""Seconds before the counting begins."""


class Client(threading.Thread):
    """Posts until the end; counts what was sent and accepted after the warm-up."""

    def __init__(self, number: int, url: str, api_key: str, seconds: float) -> None:
        super().__init__()
        self._web = rest.Client(url, {"Authorization": f"Bearer {api_key}"}, timeout=30)
        self._number = number
        self._count_from = time.perf_counter() + WARM_UP
        self._end = self._count_from + seconds
        self.accepted = 0
        self.refused = ""

    def run(self) -> None:
        sent = 0
        while (start := time.perf_counter()) < self._end:
            sent += 1
            answer = self._post(with_key=sent % 2 == 0)
            now = time.perf_counter()
            if answer.status != 202:
                self.refused = f"{answer.status}: {answer.body}"[:200]
                return
            if self._count_from <= start and now <= self._end:
                self.accepted += 1
        self._web.close()

    def _post(self, *, with_key: bool) -> rest.Answer:
        key = {"Idempotency-Key": str(uuid.uuid4())} if with_key else {}
        subscription = events.a_subscription(self._number)
        return self._web.call("POST", "/v1/subscriptions", subscription, key)


def rate(contender: Running, seconds: float) -> float:
    """POSTs that a contender accepts in a second. Raises `Stuck` if it refuses one."""
    command = [sys.executable, "-m", __name__, contender.web_url, str(seconds)]
    done = subprocess.run(
        command, cwd=ROOT, input=contender.api_key, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Stuck(f"{contender.web_url}: {done.stderr.strip()}")
    return float(done.stdout)


def main(arguments: Sequence[str]) -> None:
    url, seconds = arguments
    api_key = sys.stdin.read()
    clients = [Client(number, url, api_key, float(seconds)) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    if refused := [client.refused for client in clients if client.refused]:
        sys.exit(refused[0])
    print(sum(client.accepted for client in clients) / float(seconds))


if __name__ == "__main__":
    main(sys.argv[1:])
