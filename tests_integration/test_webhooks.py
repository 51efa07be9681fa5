"""Webhooks arrive although the worker that sends them is killed in the middle of a request."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook

from tests_integration.harness.deployment import LATE, Deployment
from tools import rest
from tools.system.eventually import eventually
from tools.system.ports import LOCAL


class Receiver(ThreadingHTTPServer):
    """Keeps its first answer back until `go_on` is set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((LOCAL, 0), Hooks)
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.go_on = threading.Event()


class Hooks(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((dict(self.headers), body))
        self.server.go_on.wait(60)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    with Receiver() as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        yield receiver
        receiver.go_on.set()
        receiver.shutdown()


def test_what_a_killed_worker_was_sending_is_sent_again_with_the_same_id(
    deployment: Deployment,
) -> None:
    api, known = f"{deployment.system.payment_url}/v1/webhook-endpoints", ["order.completed"]
    headers = {"Authorization": f"Bearer {deployment.api_key}"}
    with receiving() as receiver:
        url = f"http://{LOCAL}:{receiver.server_port}/"
        made = rest.post(api, {"url": url, "events": known}, headers)
        rest.call("POST", f"{api}/{made['id']}/test", None, headers)
        eventually(lambda: receiver.received)
        deployment.kill("payment-tasks")
        receiver.go_on.set()
        deployment.start("payment-tasks")
        eventually(lambda: len(receiver.received) > 1, within=LATE)

        def delivered() -> bool:
            page = rest.get(f"{api}/{made['id']}/deliveries", headers)
            return [row["state"] for row in page["results"]] == ["delivered"]

        eventually(delivered)
        rest.call("DELETE", f"{api}/{made['id']}", None, headers)

    assert len({sent["webhook-id"] for sent, _ in receiver.received}) == 1
    for sent, body in receiver.received:
        Webhook(made["secret"]).verify(body, sent)
