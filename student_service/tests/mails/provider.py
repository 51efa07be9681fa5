"""A mail provider's API over real HTTP, which misbehaves on request."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TAKEN = {
    "postmark": {"ErrorCode": 0, "Message": "OK", "MessageID": "pm-1", "To": "ada@example.org"},
    "mailgun": {"id": "<mg-1@mg.example>", "message": "Queued. Thank you."},
}
"""What each says of a mail that it has taken."""


@dataclass
class Provider:
    """What it has received, and how it should answer."""

    port: int = 0
    status: int = 200
    body: bytes | None = None
    drops: bool = False
    stalls: bool = False
    requests: list[Any] = field(default_factory=list)
    end: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def answer(self, path: str) -> bytes:
        if self.body is not None:
            return self.body
        name = "mailgun" if path.endswith("/messages") else "postmark"
        return json.dumps(TAKEN[name]).encode()


@contextmanager
def running() -> Iterator[Provider]:
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            provider.requests.append((self.path, body))
            if provider.stalls:
                provider.end.wait(60)
            if provider.stalls or provider.drops:
                self.close_connection = True
                return
            answer = provider.answer(self.path)
            self.send_response(provider.status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    provider.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    try:
        yield provider
    finally:
        provider.end.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
