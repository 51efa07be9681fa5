"""The HTTP port of a process: liveness, readiness and metrics.

    GET /health/live    200, or 503: restart it
    GET /health/ready   200, or 503: it cannot do its work now; the response says why
    GET /metrics        for Prometheus

HEAD answers like GET, without the body. The Host of a request does not matter.
It has threads of its own, which only read what the process's loop records, so that it can report a
loop that hangs.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore, Thread, Timer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Gauge, generate_latest

from admit_one import logs
from admit_one.logs import EventLogger

from .listening import PortNotFree, WrongAddress, listen
from .pulse import pulse

logger = EventLogger(__name__)

PATIENCE = 5.0
"""Seconds that a client may take for one request, response included."""

PLACES = 32
"""Concurrent requests; further connections are closed."""

METHODS = "GET, HEAD, OPTIONS"
"""What health checks answer to, here and in web processes."""

READY = Gauge(
    "messaging_ready", "1 if this process does its work, else 0, as /health/ready reports."
)


class HealthServer(ThreadingHTTPServer):
    """Listens on one port, and bounds the number and the duration of requests.

    Raises `CannotListen`.
    """

    daemon_threads = True

    def __init__(self, address: str, port: int, *, service: str, role: str) -> None:
        self.about = {"service": service, "role": role}
        self._places = BoundedSemaphore(PLACES)
        super().__init__((address, port), Handler, bind_and_activate=False)
        self.socket.close()  # it knows IPv4 only
        self.socket = listen(address, port)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread was started that would release the place
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, *_: object) -> None:
        """Log it, unless the client is gone or does not speak HTTP."""
        error = sys.exception()
        if not isinstance(error, OSError):
            logger.error("health_request_failed", "a health request failed", exc_info=error)


class Handler(BaseHTTPRequestHandler):
    server: HealthServer

    def setup(self) -> None:
        """Set a deadline: each byte from a slow client would restart a socket's timeout."""
        super().setup()
        self._deadline = Timer(PATIENCE, self._cut)
        self._deadline.daemon = True
        self._deadline.start()

    def _cut(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def finish(self) -> None:
        self._deadline.cancel()
        super().finish()

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/health/live":
                self._report([reason for reason in [pulse.hangs()] if reason])
            case "/health/ready":
                self._report(pulse.why_not_ready())
            case "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(REGISTRY))
            case _:
                self._answer(404, "text/plain", b"try /health/live, /health/ready or /metrics\n")

    def do_HEAD(self) -> None:
        """As GET, without the body: that is `_answer`'s part."""
        self.do_GET()

    def do_OPTIONS(self) -> None:
        self._answer(204, "", b"", Allow=METHODS)

    def send_error(
        self,
        code: int,
        message: str | None = None,  # noqa: ARG002 (the base class's signature)
        explain: str | None = None,  # noqa: ARG002
    ) -> None:
        """Refuse without repeating what was sent. Another method is no fault of the server."""
        self.close_connection = True
        if code == HTTPStatus.NOT_IMPLEMENTED:
            self._answer(405, "text/plain", b"expected GET or HEAD\n", Allow=METHODS)
        else:
            self._answer(code, "text/plain", f"{HTTPStatus(code).phrase}\n".encode())

    def _report(self, reasons: list[str]) -> None:
        status = "unavailable" if reasons else "ok"
        answer = {"status": status, **self.server.about, "reasons": reasons}
        self._answer(503 if reasons else 200, "application/json", json.dumps(answer).encode())

    def _answer(self, status: int, content_type: str, body: bytes, **headers: str) -> None:
        self.send_response_only(status)  # no Server header
        self.send_header("Date", self.date_time_string())
        if content_type:
            headers |= {"Content-Type": content_type, "Content-Length": str(len(body))}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: a request comes every few seconds."""


def serve(service: str, role: str, *, address: str, port: int) -> HealthServer | None:
    """Identify this process in its log, and serve its health on `port`, if not 0.

    Raises `SystemExit` if it cannot listen there.
    """
    logs.identify_process(service, role)
    if not port:
        return None
    try:
        server = HealthServer(address, port, service=service, role=role)
    except WrongAddress as error:
        raise SystemExit(f"HEALTH_ADDRESS: {error}") from None
    except PortNotFree as error:
        raise SystemExit(f"HEALTH_PORT: {error}") from None
    # A child must not keep the port open after this process has died.
    os.register_at_fork(after_in_child=server.socket.close)
    READY.set_function(lambda: not pulse.why_not_ready())
    Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
