"""A real web process of the service whose tests run, and clients that send it raw bytes."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from .commands import ROOT
from .ports import free_port
from .process import Process

HEADER_SECONDS, BODY_SECONDS, CONNECTIONS = 1.0, 2.0, 8

IMPORT_RUN = "from django.core.management import execute_from_command_line as run; import sys; "
SHORT_DEADLINES = (
    "from admit_one.web_process import server; "
    f"server.HEADER_SECONDS, server.BODY_SECONDS = {HEADER_SECONDS}, {BODY_SECONDS}; "
    f"server.CONNECTIONS = {CONNECTIONS}; "
)
"""Deadlines that a test can wait for, and few connections."""


def database_url() -> str:
    """The URL of the test's database, for another process."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    login = f"{database['USER']}:{database['PASSWORD']}@" if database["USER"] else ""
    return f"postgres://{login}{database['HOST']}:{database['PORT']}/{database['NAME']}"


@dataclass(frozen=True)
class Response:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self._socket = socket.create_connection((address, port), timeout=20)
        self._read = self._socket.makefile("rb")

    def send(self, *parts: bytes) -> Client:
        """Send each part in its own TCP segment."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            self._socket.sendall(part)
        return self

    def answer(self, *, to_head: bool = False) -> Response:
        """The next answer. Raises `ConnectionError` if the connection is closed instead."""
        first = self._read.readline()
        if not first:
            raise ConnectionError("closed without an answer")
        headers = http.client.parse_headers(self._read)
        body = b"" if to_head else self._read.read(int(headers.get("Content-Length", "0")))
        return Response(int(first.split()[1]), headers, body)

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
        """Send a byte every tenth of a second until there is an answer; returns the seconds."""
        began = time.monotonic()
        while not self.is_answered(0.1):
            if time.monotonic() - began > 20:
                raise AssertionError("the request was not cut off")
            self.send(byte)
        return time.monotonic() - began

    def is_closed(self) -> bool:
        """Whether the server has closed the connection without sending more."""
        return self._read.read(1) == b""

    def close(self) -> None:
        self._read.close()
        self._socket.close()


@dataclass
class WebProcess:
    process: Process
    port: int
    clients: list[Client] = field(default_factory=list)

    def client(self, address: str = "127.0.0.1") -> Client:
        """A new client, which stays connected until `close_all`."""
        self.clients.append(Client(self.port, address))
        return self.clients[-1]

    def close_all(self) -> None:
        while self.clients:
            self.clients.pop().close()

    @property
    def is_ready(self) -> bool:
        try:
            return self.get("/health/ready").status == 200
        except ConnectionError:
            return False
        finally:
            self.close_all()

    def get(self, path: str, *headers: str) -> Response:
        return self.client().send(request("GET", path, *headers)).answer()


def request(method: str, path: str, *headers: str) -> bytes:
    """The head of a request, including the empty line."""
    lines = [f"{method} {path} HTTP/1.1", "Host: testserver", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@contextmanager
def running(
    start: str = SHORT_DEADLINES,
    *,
    host: str = "127.0.0.1",
    proxy: str = "127.0.0.1",
    **environment: str,
) -> Iterator[WebProcess]:
    """A web process on the test's database that is ready; killed at the end."""
    service = settings.MESSAGING["SERVICE"]
    port = free_port()
    listen = ["--host", host, "--port", str(port), "--trusted-proxy", proxy]
    arguments = ["manage.py", "serve_web", *listen]
    with tempfile.TemporaryDirectory() as folder:
        process = Process(
            "web",
            [sys.executable, "-c", f"{IMPORT_RUN}{start}run({arguments!r})"],
            log=Path(folder) / "log",
            is_ready=lambda _: web.is_ready,
            cwd=ROOT / service,
            env={
                **os.environ,
                "DATABASE_URL": database_url(),
                "DJANGO_SETTINGS_MODULE": f"{service}.settings",
                "PYTHONPATH": str(ROOT / service),
                **environment,
            },
        )
        web = WebProcess(process, port)
        try:
            process.until_ready()
            yield web
        finally:
            process.kill()
            web.close_all()
