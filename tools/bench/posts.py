"""As many POSTs as one web process accepts.

    python -m tools.bench.posts URL SECONDS      (the API key on standard input)

A process of its own: several clients, each with one kept connection, ask again as soon as they
are answered. Half of the requests bring an Idempotency-Key. Prints the accepted a second.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from urllib.parse import urlsplit

from tools.system.commands import ROOT

from .contenders import events
from .drain import Stuck

CLIENTS = 8
WARM_UP = 2.0
"""Seconds before the counting begins."""


class Client(threading.Thread):
    """Asks until the end; counts what was asked and accepted after the warm-up."""

    def __init__(self, number: int, url: str, api_key: str, seconds: float) -> None:
        super().__init__()
        address = urlsplit(url)
        self._web = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
        self._number = number
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {api_key}"}
        self._count_from = time.perf_counter() + WARM_UP
        self._end = self._count_from + seconds
        self.accepted = 0
        self.refused: list[str] = []

    def run(self) -> None:
        asked = 0
        while (start := time.perf_counter()) < self._end:
            asked += 1
            status, text = self._post(with_key=asked % 2 == 0)
            now = time.perf_counter()
            if status != 202:
                self.refused.append(f"{status}: {text[:200]}")
                return
            if self._count_from <= start and now <= self._end:
                self.accepted += 1
        self._web.close()

    def _post(self, *, with_key: bool) -> tuple[int, str]:
        key = {"Idempotency-Key": str(uuid.uuid4())} if with_key else {}
        body = json.dumps(events.a_subscription(self._number))
        self._web.request("POST", "/v1/subscriptions", body, self._headers | key)
        answer = self._web.getresponse()
        return answer.status, answer.read().decode()


def rate(url: str, api_key: str, seconds: float) -> float:
    """POSTs accepted in a second at `url`. Raises `Stuck` if one is refused."""
    command = [sys.executable, "-m", __name__, url, str(seconds)]
    done = subprocess.run(
        command, cwd=ROOT, input=api_key, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Stuck(f"{url}: {done.stderr.strip()}")
    return float(done.stdout)


def main(arguments: Sequence[str]) -> None:
    url, seconds = arguments
    api_key = sys.stdin.read()
    clients = [Client(number, url, api_key, float(seconds)) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    if refused := [text for client in clients for text in client.refused]:
        sys.exit(refused[0])
    print(sum(client.accepted for client in clients) / float(seconds))


if __name__ == "__main__":
    main(sys.argv[1:])
