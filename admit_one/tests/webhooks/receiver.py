"""A receiver of webhooks on this machine, with or without TLS, that behaves as a test wants."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

Answer = Callable[["Receiver", socket.socket], None]


class Request(NamedTuple):
    """What came."""

    line: str
    headers: dict[str, str]
    body: str


class Receiver:
    """Reads each request, keeps it, and answers it with `answer`."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self.requests: list[Request] = []
        self.at_once = self.most_at_once = 0
        self.answer: Answer = with_status(204)
        self.ended = threading.Event()
        self._context = context
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def url(self, host: str = "127.0.0.1", path: str = "/hooks?key=1") -> str:
        scheme = "http" if self._context is None else "https"
        return f"{scheme}://{host}:{self.port}{path}"

    def close(self) -> None:
        self.ended.set()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                taken, _ = self._listener.accept()
                threading.Thread(target=self._take, args=(taken,), daemon=True).start()

    def _take(self, taken: socket.socket) -> None:
        with suppress(OSError, ssl.SSLError):
            if self._context is not None:
                taken = self._context.wrap_socket(taken, server_side=True)
            with taken, self._counted():
                self.requests.append(_read(taken))
                self.answer(self, taken)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield
        finally:
            with self._lock:
                self.at_once -= 1


def _read(taken: socket.socket) -> Request:
    raw = b""
    while b"\r\n\r\n" not in raw:
        raw += _some(taken)
    head, _, body = raw.partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
    while len(body) < int(headers["content-length"]):
        body += _some(taken)
    return Request(line, headers, body.decode())


def _some(taken: socket.socket) -> bytes:
    received = taken.recv(65_536)
    if not received:
        raise ConnectionError
    return received


def with_status(status: int, *headers: str) -> Answer:
    def answer(_: Receiver, taken: socket.socket) -> None:
        lines = (f"HTTP/1.1 {status} Any", "Content-Length: 0", *headers)
        taken.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    return answer


def with_bytes(raw: bytes) -> Answer:
    def answer(_: Receiver, taken: socket.socket) -> None:
        taken.sendall(raw)

    return answer


def in_turn(*answers: Answer) -> Answer:
    """The first answer, then the next one; the last one from then on."""
    left = list(answers)

    def answer(receiver: Receiver, taken: socket.socket) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(receiver, taken)

    return answer


def hang(receiver: Receiver, _: socket.socket) -> None:
    """Say nothing, until the test is over."""
    receiver.ended.wait()


def close(_: Receiver, __: socket.socket) -> None:
    """Hang up without an answer."""


def drip(receiver: Receiver, taken: socket.socket) -> None:
    """Send a byte of an answer now and then, forever."""
    taken.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not receiver.ended.wait(0.05):
        taken.sendall(b"a")


def hint(receiver: Receiver, taken: socket.socket) -> None:
    """Send an interim answer now and then, forever."""
    while not receiver.ended.wait(0.05):
        taken.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n")


def flood(receiver: Receiver, taken: socket.socket) -> None:
    """Send headers without an end."""
    taken.sendall(b"HTTP/1.1 200 OK\r\n")
    while not receiver.ended.is_set():
        taken.sendall(b"X-More: " + b"a" * 1_000 + b"\r\n")


def pour(receiver: Receiver, taken: socket.socket) -> None:
    """Answer with success and a body without an end."""
    taken.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    while not receiver.ended.is_set():
        taken.sendall(b"a" * 65_536)
