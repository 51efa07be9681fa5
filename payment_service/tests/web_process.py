"""A real web process of this service, and clients that write to it byte by byte."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import connection

HERE = Path(__file__).parent.parent

HEADER_SECONDS, BODY_SECONDS, CONNECTIONS = 1.0, 2.0, 8

PATIENT = "from django.core.management import execute_from_command_line as run; import sys; "
IMPATIENT = (
    "from admit_one.web_process import server; "
    f"server.HEADER_SECONDS, server.BODY_SECONDS = {HEADER_SECONDS}, {BODY_SECONDS}; "
    f"server.CONNECTIONS = {CONNECTIONS}; "
)
"""The same server with deadlines that a test can wait for, and few places."""


def wait_for(fact: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until `fact()` is true; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(0.02)


def database_url() -> str:
    """Of the test's own database, for another process."""
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{settings['NAME']}"
    login = f"{settings['USER']}:{settings['PASSWORD']}@" if settings["USER"] else ""
    return f"postgres://{login}{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._read = self._socket.makefile("rb")

    def send(self, *parts: bytes) -> Client:
        """Each part in a TCP segment of its own."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            self._socket.sendall(part)
        return self

    def answer(self) -> Answer:
        """The next answer. Raises `ConnectionError` if the connection is closed instead."""
        first = self._read.readline()
        if not first:
            raise ConnectionError("closed without an answer")
        headers = {}
        while line := self._read.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name] = value
        body = self._read.read(int(headers.get("Content-Length", "0")))
        return Answer(int(first.split()[1]), headers, body)

    def is_answered(self, seconds: float = 0.0) -> bool:
        """Whether an answer, or the end of the connection, comes within `seconds`."""
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except (TimeoutError, BlockingIOError):
            return False
        finally:
            self._socket.settimeout(20)
        return True

    def trickle(self, byte: bytes) -> float:
        """Send a byte every tenth of a second until there is an answer; how long it took."""
        began = time.monotonic()
        while not self.is_answered(0.1):
            assert time.monotonic() - began < 20, "nobody cuts this request off"
            self.send(byte)
        return time.monotonic() - began

    def is_closed(self) -> bool:
        """Whether the server has closed the connection: nothing else comes."""
        return self._read.read(1) == b""

    def leave(self) -> None:
        self._read.close()
        self._socket.close()


@dataclass
class WebProcess:
    process: subprocess.Popen[str]
    port: int
    lines: list[str] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)

    def read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def said(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def client(self) -> Client:
        """A new one, which stays until all are sent away."""
        self.clients.append(Client(self.port))
        return self.clients[-1]

    def send_all_away(self) -> None:
        while self.clients:
            self.clients.pop().leave()

    @property
    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.lines
        try:
            return self.get("/health/ready").status == 200
        except ConnectionError:
            return False
        finally:
            self.send_all_away()

    def get(self, path: str, *headers: str) -> Answer:
        return self.client().send(request("GET", path, *headers)).answer()

    @property
    def children(self) -> list[str]:
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [child for file in tasks for child in file.read_text().split()]


def request(method: str, path: str, *headers: str) -> bytes:
    """The head of a request, its empty line included."""
    lines = [f"{method} {path} HTTP/1.1", "Host: testserver", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@contextmanager
def running(start: str = IMPATIENT) -> Iterator[WebProcess]:
    """A web process on the test's database, ready; killed at the end if it still runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = ["manage.py", "serve_web", "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-c", f"{PATIENT}{start}run({arguments!r})"],
        cwd=HERE,
        env=os.environ
        | {
            "DATABASE_URL": database_url(),
            "DJANGO_SETTINGS_MODULE": "payment_service.settings",
            "PYTHONPATH": str(HERE),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    web = WebProcess(process, port)
    reader = threading.Thread(target=web.read, daemon=True)
    reader.start()
    try:
        wait_for(lambda: web.is_ready)
        yield web
    finally:
        process.kill()
        process.wait()
        web.send_all_away()
        reader.join()
        assert process.stdout
        process.stdout.close()
