"""The HTTP server of a web process: waitress, with deadlines for a request's headers and body.

Waitress reads requests in one loop, and passes only complete ones to a thread. So a slow client
holds its connection and nothing else. Each thread keeps its database connection.
"""

from __future__ import annotations

import socket
import time
from typing import Any

from prometheus_client import Gauge
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, Task, ThreadedTaskDispatcher, WSGITask
from waitress.utilities import Error

from admit_one.processes.announcer import Announcer
from admit_one.processes.pulse import pulse
from admit_one.processes.stopping import Stop

from . import proxy
from .problem import CONTENT_TYPE, Problem
from .request import Request

CONNECTIONS = 256
"""Concurrent connections. Other clients wait in the kernel's queue."""

HEADER_SECONDS = 10.0
"""From the first byte of a request to the end of its headers."""

BODY_SECONDS = 20.0
"""From the first byte of a request to its last."""

IDLE_SECONDS = 60
"""A connection without a request is closed after this time."""

HEADER_BYTES = 32_768

TAKEN = Gauge("web_connections", "Connections of clients now; when all are taken, others wait.")

LIVE = "/health/live"

TURN = 0.25
"""Seconds that the loop waits for clients before it checks deadlines and `stop`."""

REFUSALS = {
    400: ("bad_request", "the request is malformed"),
    408: ("timeout", "the request took too long to arrive"),
    413: ("too_large", "the body is too large"),
    431: ("headers_too_large", f"the headers have more than {HEADER_BYTES:,} bytes"),
    500: ("error", "the server failed; its log says why"),
    501: ("not_implemented", "expected Transfer-Encoding: chunked, or none"),
}
"""The problems that the server itself answers: code and detail, by status."""


class RequestTimeout(Error):  # type: ignore[misc]  # waitress is not typed
    code = 408
    reason = "Request Timeout"


class HeadersOnly(Task):  # type: ignore[misc]
    """A response to HEAD ends with its headers (RFC 9112, 6.3).

    A body would be read as the next response of the connection.
    """

    def write(self, data: bytes) -> None:
        if self.request.command != "HEAD":
            super().write(data)
            return
        super().write(b"")
        self.chunked_response = False


class Response(HeadersOnly, WSGITask):  # type: ignore[misc]
    """What the application answers."""

    def set_close_on_finish(self) -> None:
        """Keep the connection after 204 and 304, which have no body and so no length.

        Waitress would close it, and a client that polls would connect for each request.
        """
        asked = self.request.headers.get("CONNECTION", "").lower() == "close"
        if self.has_body or self.version != "1.1" or asked:
            super().set_close_on_finish()


class Refusal(HeadersOnly, ErrorTask):  # type: ignore[misc]
    """Answers a refused request with `application/problem+json`, like every other error."""

    def execute(self) -> None:
        error = self.request.error
        code, detail = REFUSALS[error.code]
        detail = getattr(self.request, "fault", "") or detail
        problem = Problem(error.code, error.reason, code, detail)
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", CONTENT_TYPE))
        self.content_length = len(problem.body)
        self.set_close_on_finish()
        self.write(problem.body)


class ClientConnection(HTTPChannel):  # type: ignore[misc]
    """One client's connection, with the time at which its current request began."""

    parser_class = Request
    task_class = Response
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
        """Answer an overdue request with 408, and close the connection."""
        with self.requests_lock:
            request = self.request
            # While an earlier request is being answered, nothing is read: not the client's fault.
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


class WebServer(TcpWSGIServer):  # type: ignore[misc]
    """Serves a WSGI application on a listening socket.

    `body_bytes` is the largest body that reaches the application, `trusted_proxy` the address
    whose X-Forwarded-For and X-Forwarded-Proto are trusted.
    """

    channel_class = ClientConnection

    def __init__(
        self,
        application: Any,
        listener: socket.socket,
        *,
        threads: int,
        body_bytes: int,
        trusted_proxy: str,
    ) -> None:
        self._announcer = Announcer()
        self._liveness = ThreadedTaskDispatcher()
        self._liveness.set_thread_count(1)
        adjustments = Adjustments(
            sockets=[listener],
            threads=threads,
            max_request_header_size=HEADER_BYTES,
            max_request_body_size=body_bytes + 1,  # waitress refuses a body of this size
            connection_limit=CONNECTIONS * 2,  # never reached: `readable` enforces CONNECTIONS
            send_bytes=16_384,  # a response goes out whole, not its headers first
            channel_timeout=IDLE_SECONDS,
            cleanup_interval=1,
            clear_untrusted_proxy_headers=False,  # `proxy` does it
            ident=None,
        )
        super().__init__(
            proxy.behind(trusted_proxy, application),
            map={},
            _sock=listener,
            adj=adjustments,
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
            bind_socket=False,
        )
        TAKEN.set_function(lambda: len(self.active_channels))

    def fix_addr(self, address: tuple[Any, ...]) -> tuple[str, int]:
        """A client's address, in IPv4's own form if it came by IPv4 to a socket of both."""
        return address[0].removeprefix("::ffff:"), address[1]

    def add_task(self, connection: ClientConnection) -> None:
        """Give liveness probes a thread of their own, so that they wait for no other request."""
        path = getattr(connection.requests[0], "path", "")
        is_probe = f"/{path.lstrip('/')}" == LIVE  # as waitress gives it to the application
        (self._liveness if is_probe else self.task_dispatcher).add_task(connection)

    def readable(self) -> bool:
        """Whether another connection may be accepted; the loop calls it every turn."""
        super().readable()  # does the maintenance when it is due
        taken = len(self.active_channels)
        if taken >= CONNECTIONS:
            all_taken = "all {connections} connections are taken; other clients wait"
            self._announcer.trouble("connections_taken", all_taken, connections=taken)
        elif taken < CONNECTIONS // 2:
            self._announcer.over("connections_free", "new connections are accepted again")
        return taken < CONNECTIONS

    def maintenance(self, now: float) -> None:
        super().maintenance(now)
        for connection in list(self.active_channels.values()):
            connection.enforce_deadline(time.monotonic())

    def serve(self, stop: Stop) -> None:
        """Serve until asked to stop, then answer the requests that have arrived."""
        while not stop:
            self._turn()
        wasyncore.dispatcher.close(self)  # the listening socket alone
        while self._is_finishing(stop):
            self._turn()
        self.task_dispatcher.shutdown()

    def _turn(self) -> None:
        pulse.beat()
        wasyncore.loop(TURN, use_poll=True, map=self._map, count=1)

    def _is_finishing(self, stop: Stop) -> bool:
        """Close idle connections; returns whether others are left."""
        for connection in list(self.active_channels.values()):
            if not connection.has_work(patient=not stop.overdue):
                connection.will_close = True
        return bool(self.active_channels)
