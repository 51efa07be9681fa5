"""The HTTP server of a web process: waitress, with deadlines for a request's headers and body.

Waitress reads requests in one loop and gives a thread only those that are complete. So a slow
client holds its connection and nothing else. Each thread keeps its database connection.
"""

from __future__ import annotations

import json
import time
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher
from waitress.utilities import Error

from admit_one.processes.announcer import Announcer
from admit_one.processes.stopping import Stop

from .framing import Request

CONNECTIONS = 256
"""Clients at a time. Others wait in the kernel's queue."""

HEADER_SECONDS = 10.0
"""From the first byte of a request to the end of its headers."""

BODY_SECONDS = 20.0
"""From the first byte of a request to its last."""

IDLE_SECONDS = 60
"""A connection without any request is closed after this time."""

HEADER_BYTES = 32_768

LIVE = "/health/live"

TURN = 0.25
"""Seconds that the loop waits for clients before it looks at deadlines and for a stop."""

REFUSALS = {
    400: ("bad_request", "the request cannot be understood"),
    408: ("timeout", "the request took too long to arrive"),
    413: ("too_large", "the body is too large"),
    431: ("headers_too_large", f"the headers have more than {HEADER_BYTES:,} bytes"),
    500: ("error", "the server failed; the log knows why"),
    501: ("not_implemented", "expected Transfer-Encoding: chunked, or none"),
}
"""What the server answers by itself: code and detail of the problem, by status."""


class RequestTimeout(Error):  # type: ignore[misc]  # waitress is not typed
    """The request did not arrive in time."""

    code = 408
    reason = "Request Timeout"


class Refusal(ErrorTask):  # type: ignore[misc]
    """Answers what the server refuses as `application/problem+json`, like every other error."""

    def execute(self) -> None:
        error = self.request.error
        code, detail = REFUSALS[error.code]
        problem = {
            "type": "about:blank",
            "title": error.reason,
            "status": error.code,
            "code": code,
            "detail": detail,
        }
        body = json.dumps(problem).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", "application/problem+json"))
        self.content_length = len(body)
        self.set_close_on_finish()
        self.write(body)


class Connection(HTTPChannel):  # type: ignore[misc]
    """One client's connection, and since when it has been sending its present request."""

    parser_class = Request
    error_task_class = Refusal
    request: Any
    _began = 0.0

    def received(self, data: bytes) -> bool:
        before = self.request
        went_well: bool = super().received(data)
        if self.request is not before:
            self._began = time.monotonic()
        return went_well

    def enforce_deadline(self, now: float) -> None:
        """Answer 408 to a request that is overdue, and close."""
        with self.requests_lock:
            request = self.request
            # While an earlier request is being answered, nothing is read: that is not the client.
            if request is None or self.requests:
                return
            allowed = BODY_SECONDS if request.headers_finished else HEADER_SECONDS
            if now - self._began > allowed:
                request.error = RequestTimeout("")
                self.requests.append(request)
                self.request = None
                self.server.add_task(self)

    def has_work(self, *, patient: bool) -> bool:
        """Whether a request is being answered; if `patient`, also whether one is arriving."""
        return bool(self.requests or (patient and (self.request or self.total_outbufs_len)))


class Server(TcpWSGIServer):  # type: ignore[misc]
    """Serves a WSGI application at one port. Raises `OSError` if the port cannot be had.

    `body_bytes` is the largest body that the application is given, `trusted_proxy` the address
    whose X-Forwarded-For and X-Forwarded-Proto are believed.
    """

    channel_class = Connection

    def __init__(
        self,
        application: Any,
        host: str,
        port: int,
        *,
        threads: int,
        body_bytes: int,
        trusted_proxy: str,
    ) -> None:
        self._announcer = Announcer()
        self._liveness = ThreadedTaskDispatcher()
        self._liveness.set_thread_count(1)
        adjustments = Adjustments(
            host=host,
            port=port,
            threads=threads,
            max_request_header_size=HEADER_BYTES,
            max_request_body_size=body_bytes + 1,  # waitress refuses a body of this size
            connection_limit=CONNECTIONS * 2,  # never reached: `readable` has the bound
            send_bytes=16_384,  # an answer goes out whole, not its headers first
            channel_timeout=IDLE_SECONDS,
            cleanup_interval=1,
            trusted_proxy=trusted_proxy,
            trusted_proxy_headers={"x-forwarded-for", "x-forwarded-proto"},
            clear_untrusted_proxy_headers=True,
            ident=None,
        )
        super().__init__(application, map={}, adj=adjustments)

    def add_task(self, connection: Connection) -> None:
        """Liveness has a thread of its own, so that it never waits behind work."""
        is_probe = getattr(connection.requests[0], "path", "") == LIVE
        (self._liveness if is_probe else self.task_dispatcher).add_task(connection)

    def readable(self) -> bool:
        """Whether another connection may be accepted; the loop asks every turn."""
        super().readable()  # does the maintenance when it is due
        taken = len(self.active_channels)
        if taken >= CONNECTIONS:
            taken_all = "all {connections} connections are taken; other clients wait"
            self._announcer.trouble("connections_taken", taken_all, connections=taken)
        elif taken < CONNECTIONS // 2:
            self._announcer.over("connections_free", "other clients wait no longer")
        return taken < CONNECTIONS

    def maintenance(self, now: float) -> None:
        super().maintenance(now)
        for connection in list(self.active_channels.values()):
            connection.enforce_deadline(time.monotonic())

    def serve(self, stop: Stop) -> None:
        """Serve until asked to stop, then answer the requests that are here."""
        while not stop:
            self._turn()
        wasyncore.dispatcher.close(self)  # the listening socket alone
        while self._is_finishing(stop):
            self._turn()
        self.task_dispatcher.shutdown()

    def _turn(self) -> None:
        wasyncore.loop(TURN, use_poll=True, map=self._map, count=1)

    def _is_finishing(self, stop: Stop) -> bool:
        """Close connections that have no work. Whether others are left."""
        for connection in list(self.active_channels.values()):
            if not connection.has_work(patient=not stop.overdue):
                connection.will_close = True
        return bool(self.active_channels)
