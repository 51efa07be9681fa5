"""A small HTTP port of a process: whether it lives, whether it does its work, and its metrics.

    GET /health/live    200, or 503: restart it
    GET /health/ready   200, or 503: it does not do its work now; the reasons are in the answer
    GET /metrics        for Prometheus

Threads of its own serve it, and they only read what the loop has written down. So a loop that
hangs cannot keep anybody from learning that it hangs.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore, Thread, Timer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Gauge, generate_latest

from admit_one import logs
from admit_one.logs import EventLogger

from .pulse import pulse

logger = EventLogger(__name__)

PATIENCE = 5.0
"""Seconds that a client may take for one request, answer included."""

PLACES = 32
"""Requests at a time; a client that comes while all are taken is turned away, and may try again."""

READY = Gauge(
    "messaging_ready", "1 if this process does its work, else 0, as /health/ready reports."
)


class Server(ThreadingHTTPServer):
    """Listens on one port. A slow or silent client takes a thread and a place, but not for long."""

    daemon_threads = True

    def __init__(self, address: str, port: int, *, service: str, role: str) -> None:
        self.about = {"service": service, "role": role}
        self._places = BoundedSemaphore(PLACES)
        super().__init__((address, port), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started that would give the place back
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, *_: object) -> None:
        """Log it, unless the client has only gone away or talks something else."""
        error = sys.exception()
        if not isinstance(error, OSError):
            logger.error(
                "health_request_failed", "a question about health was not answered", exc_info=error
            )


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    server_version, sys_version = "health", ""

    def setup(self) -> None:
        """A socket's timeout is not enough: a byte now and then starts it again and again."""
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
        if self.path == "/health/live":
            self._report([reason for reason in [pulse.hangs()] if reason])
        elif self.path == "/health/ready":
            self._report(pulse.why_not_ready())
        elif self.path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, generate_latest(REGISTRY))
        else:
            self._answer(404, "text/plain", b"try /health/live, /health/ready or /metrics\n")

    def _report(self, reasons: list[str]) -> None:
        status = "unavailable" if reasons else "ok"
        answer = {"status": status, **self.server.about, "reasons": reasons}
        self._answer(503 if reasons else 200, "application/json", json.dumps(answer).encode())

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: it is asked every few seconds."""


def serve(service: str, role: str, *, address: str, port: int) -> Server | None:
    """Mark this process's log lines with what it is, and answer about it on `port`, if not 0.

    Raises `SystemExit` if the port cannot be had; no caller could do better.
    """
    logs.this_is(service, role)
    if not port:
        return None
    try:
        server = Server(address, port, service=service, role=role)
    except OSError as error:
        raise SystemExit(
            f"HEALTH_PORT: expected a port for this process alone on {address}, "
            f"got {port}: {error.strerror}"
        ) from None
    # A child must not keep the port open when this process has died.
    os.register_at_fork(after_in_child=server.socket.close)
    READY.set_function(lambda: not pulse.why_not_ready())
    Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
