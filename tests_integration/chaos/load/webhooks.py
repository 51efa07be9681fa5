"""Receivers of webhooks, for clients of both sides: most of them are unreliable.

| Name | What it does |
|---|---|
| good | accepts everything |
| slow | accepts after a second |
| hesitant | refuses some webhooks once, then accepts them |
| refusing, hanging, redirecting | never accepts; the last one leads to an address of this machine |
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Self

from standardwebhooks import Webhook, WebhookVerificationError

from tests_integration.harness.api import Api
from tools.system.ports import LOCAL

SLOW, HANGS = 1.0, 30.0
"""Seconds until an answer; a sender waits for ten at most."""

HESITATES = frozenset("048c")
"""Last digits of the ids of webhooks that the hesitant one refuses once."""

ACCEPTING = ("good", "slow", "hesitant")
NEVER = ("refusing", "hanging", "redirecting")

TRAP = "/trap"
"""Where the redirecting receiver leads to."""

WAITING = "%/accepting/%"
"""For SQL: URLs of the receivers that have to get everything."""


class Receiver(NamedTuple):
    """A receiver of one client of a service."""

    service: str
    client: str
    name: str

    @property
    def path(self) -> str:
        kind = "accepting" if self.name in ACCEPTING else "never"
        return f"/{self.service}/{self.client}/{kind}/{self.name}"


class Received(NamedTuple):
    """A webhook that has come."""

    receiver: Receiver
    webhook_id: str
    body: str
    is_signed: bool
    is_accepted: bool


class Receivers:
    """An HTTP server with all receivers; leaving the `with` block stops it."""

    def __init__(self) -> None:
        self._server = _Server(self)
        self._refused_once: set[str] = set()
        self._ended = threading.Event()
        self._secrets: dict[Receiver, str] = {}
        self._by_path: dict[str, Receiver] = {}
        self.listening: dict[Receiver, frozenset[str]] = {}
        """The types of events that each receiver is to get."""
        self.received: list[Received] = []
        self.followed: list[str] = []
        """Requests that followed a redirect."""

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.stop()

    @property
    def secrets(self) -> Mapping[str, str]:
        """The signing secrets, by name."""
        return {f"webhook secret of {each.path}": text for each, text in self._secrets.items()}

    def listen(self, api: Api, receiver: Receiver, events: Collection[str]) -> None:
        """Have `receiver` listen to these types of events, as a client of `api`."""
        url = f"http://{LOCAL}:{self._server.server_port}{receiver.path}"
        body = {"url": url, "events": sorted(events)}
        answer = api.call("POST", "/v1/webhook-endpoints", body)
        assert answer.status == 201, answer
        self._secrets[receiver] = answer.body["secret"]
        self._by_path[receiver.path] = receiver
        self.listening[receiver] = frozenset(events)

    def take(self, path: str, headers: Mapping[str, str], body: str) -> tuple[int, str]:
        """Note a request; returns the status of its answer and, if it redirects, to where."""
        receiver = self._by_path.get(path)
        if receiver is None:
            self.followed.append(f"a webhook went to {path}")
            return 204, ""
        status, location = self._answer(receiver, headers.get("webhook-id", ""))
        received = Received(
            receiver,
            headers.get("webhook-id", ""),
            body,
            is_signed(self._secrets[receiver], headers, body),
            is_accepted=status == 204,
        )
        self.received.append(received)
        return status, location

    def _answer(self, receiver: Receiver, webhook_id: str) -> tuple[int, str]:
        match receiver.name:
            case "slow":
                self._ended.wait(SLOW)
            case "hesitant" if self._hesitates(webhook_id):
                return 503, ""
            case "refusing":
                return 500, ""
            case "hanging":
                self._ended.wait(HANGS)
                return 500, ""
            case "redirecting":
                return 307, f"http://{LOCAL}:{self._server.server_port}{TRAP}"
        return 204, ""

    def _hesitates(self, webhook_id: str) -> bool:
        """Whether it refuses this one now: once, and a quarter of all."""
        if webhook_id[-1:] not in HESITATES or webhook_id in self._refused_once:
            return False
        self._refused_once.add(webhook_id)
        return True


def is_signed(secret: str, headers: Mapping[str, str], body: str) -> bool:
    """Whether a webhook is signed after Standard Webhooks, a moment ago."""
    try:
        Webhook(secret).verify(body, dict(headers))
    except (WebhookVerificationError, ValueError):
        return False
    return True


Take = Callable[[str, Mapping[str, str], str], tuple[int, str]]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, receivers: Receivers) -> None:
        super().__init__((LOCAL, 0), _Handler)
        self.take: Take = receivers.take

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, name="webhooks", daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """Nothing: a sender that is killed hangs up."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) == length:  # else its sender was killed
            self._answer(body.decode())

    def do_GET(self) -> None:
        self._answer("")

    def _answer(self, body: str) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, location = self.server.take(self.path, headers, body)
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""
