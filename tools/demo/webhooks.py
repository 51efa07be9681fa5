"""Hears of what happens on both sides by webhooks, as any client does.

A receiver on this machine verifies each with the library of Standard Webhooks, and keeps it once.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

import standardwebhooks

from tools import rest
from tools.system.ports import LOCAL

TYPES = {
    "payment_service": (
        *("subscription.active", "subscription.past_due", "subscription.cancelled"),
        *("subscription.refunded", "subscription.renewed", "subscription.expired"),
        *("subscription.mailed", "subscription.mail_failed", "subscription.redeemed"),
        "order.completed",
    ),
    "student_service": (
        *("access.redeemed", "access.revoked", "access.suspended"),
        *("access.reinstated", "access.expired", "access.replaced"),
    ),
}
"""All that each service reports."""

PATH = "/admit-one-demo/"
"""With the service behind it: what tells the demo's endpoints from others of its client."""

LONGEST = 65_536
"""Bytes of a body; ours have some hundreds."""

LOOK_EVERY = 0.05
"""Seconds between looks whether the receiver is to close."""


@dataclass(frozen=True)
class Webhook:
    """An event that came from a service, signed as it should be."""

    service: str
    type: str
    data: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.service.removesuffix('_service')}: {self.type}, verified"

    @property
    def about(self) -> str:
        """The id of the subscription, or else of the order."""
        return str(self.data.get("subscription_id") or self.data.get("order_id"))


class Receiver:
    """Takes webhooks within its `with` block. `taken` has them in the order in which they came."""

    def __init__(self) -> None:
        self.taken: list[Webhook] = []
        self._ids: set[str] = set()
        self._secrets: dict[str, standardwebhooks.Webhook] = {}
        self._lock = threading.Lock()
        # A port that is free: the endpoints are changed to it at each start.
        self._server = ThreadingHTTPServer((LOCAL, 0), type("Handler", (Hooks,), {"to": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(LOOK_EVERY,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        return self._server.server_port

    def listen(self, service: str, url: str, api_key: str) -> None:
        """Have the service whose API is at `url` send here what it reports to the key's client.

        Raises one of `rest.NO_ANSWER`.
        """
        endpoints, headers = f"{url}/v1/webhook-endpoints", {"Authorization": f"Bearer {api_key}"}
        path = PATH + service
        wanted = {"url": f"http://{LOCAL}:{self.port}{path}", "events": TYPES[service]}
        for known in rest.get(f"{endpoints}?limit=100", headers)["results"]:
            if urlsplit(known["url"]).path == path:  # of an earlier demo, which has its events
                endpoint = f"{endpoints}/{known['id']}"
                rotated = rest.post(f"{endpoint}/rotate-secret", None, headers)
                self.trust(service, rotated["secret"])
                rest.patch(endpoint, wanted, headers)
                rest.post(f"{endpoint}/enable", None, headers)
                return
        self.trust(service, rest.post(endpoints, wanted, headers)["secret"])

    def trust(self, service: str, secret: str) -> None:
        """Take from now on what this service signs with `secret`."""
        self._secrets[service] = standardwebhooks.Webhook(secret)

    def take(self, service: str, headers: dict[str, str], body: bytes) -> bool:
        """Keep an event, if it has not come before; false if the service has not signed it.

        The names of the headers are in lower case.
        """
        secret = self._secrets.get(service)
        if secret is None:
            return False
        try:
            event = secret.verify(body, headers)
        except (standardwebhooks.WebhookVerificationError, ValueError):  # no signature, or no text
            return False
        with self._lock:
            if headers["webhook-id"] not in self._ids:
                self._ids.add(headers["webhook-id"])
                self.taken.append(Webhook(service, event["type"], event["data"]))
        return True

    def has(self, service: str, type: str, about: str) -> bool:  # noqa: A002 (their word)
        """Whether this event has come about this subscription."""
        return any(
            (each.service, each.type, each.about) == (service, type, about) for each in self.taken
        )


class Hooks(BaseHTTPRequestHandler):
    """Answers 204 to what was signed as it should be, and refuses everything else."""

    to: Receiver
    timeout = 10
    """Seconds for each read and write."""

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LONGEST:
            self._answer(413)
            return
        body = self.rfile.read(int(length))
        headers = {name.lower(): value for name, value in self.headers.items()}
        is_taken = self.to.take(self.path.removeprefix(PATH), headers, body)
        self._answer(204 if is_taken else 400)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: the demo shows what came."""
