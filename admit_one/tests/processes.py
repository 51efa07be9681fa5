"""Real processes of the service under test, and a network that can be taken from them."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.db import connection

ROOT = Path(__file__).parent.parent


def eventually(fact: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until `fact()` is true; fail after `seconds`, however the machine is loaded."""
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


def database_url(port: int | None = None) -> str:
    """The test database as an address; through `port` of this machine if given (PostgreSQL)."""
    given = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{given['NAME']}"
    parts = urlsplit(os.environ["DATABASE_URL"])
    login = parts.netloc.rpartition("@")[0]
    host = f"127.0.0.1:{port}" if port else f"{given['HOST']}:{given['PORT'] or 5432}"
    return urlunsplit(parts._replace(netloc=f"{login}@{host}", path=f"/{given['NAME']}"))


def broker_url(port: int) -> str:
    """The broker through `port` of this machine."""
    parts = urlsplit(str(settings.BROKER_URL))
    login = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}"))


class Process:
    """`python -m django <command>`, and what it says on standard error."""

    def __init__(self, command: str, **environment: str) -> None:
        self.lines: list[str] = []
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "django", command],
            cwd=ROOT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                "DATABASE_URL": database_url(),
                "BROKER_PREFIX": str(settings.MESSAGING["BROKER_PREFIX"]),
                "TEST_WIRING": "tests.process_handlers",
                **environment,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        return self._popen.poll()

    def _read(self) -> None:
        assert self._popen.stderr is not None
        with self._popen.stderr:
            self.lines.extend(iter(self._popen.stderr.readline, ""))

    def said(self, text: str) -> int:
        """How often."""
        return sum(text in line for line in list(self.lines))

    def until(self, text: str, seconds: float = 30.0) -> Process:
        """Wait until it says `text`."""
        eventually(lambda: self.said(text) or self.exit_code is not None, seconds)
        assert self.said(text), f"ended with {self.exit_code}:\n{''.join(self.lines)}"
        return self

    def until_ready(self) -> Process:
        return self.until(" ready")

    def signal(self, number: int) -> None:
        self._popen.send_signal(number)

    def wait(self, seconds: float = 30.0) -> int:
        code = self._popen.wait(seconds)
        self._reader.join(5)
        return code

    def stop(self) -> tuple[int, float]:
        """Ask it to end; its exit code and the seconds that it took."""
        started = time.monotonic()
        self.signal(signal.SIGTERM)
        return self.wait(60), time.monotonic() - started

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._popen.kill()
        self.wait()


class Proxy:
    """A port of this machine that leads to another, until the way is cut or goes silent."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._silent = False
        self._closed = False
        self._accepted = 0
        self._waker, self._wakes = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def until_accepted(self, number: int) -> None:
        """Wait for so many connections since the start."""
        eventually(lambda: self._accepted >= number)

    def silence(self) -> None:
        """Let connections stand, take new ones, and carry nothing any more."""
        self._silent = True
        self._wakes.send(b"\0")

    def carry(self) -> None:
        """Carry again, also what was held back."""
        self._silent = False
        self._wakes.send(b"\0")

    def cut(self) -> None:
        """Break every connection; new ones are taken."""
        for sock in list(self._pairs):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def refuse(self) -> None:
        """Break every connection and refuse new ones."""
        self._listener.close()
        self.cut()

    def listen_again(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._wakes.send(b"\0")

    def close(self) -> None:
        self._closed = True
        self._wakes.send(b"\0")
        self._thread.join(5)
        for sock in (self._listener, self._waker, self._wakes, *self._pairs):
            sock.close()

    def _run(self) -> None:
        while not self._closed:
            watched = [self._waker, *([] if self._silent else self._pairs)]
            if self._listener.fileno() >= 0:
                watched.append(self._listener)
            try:
                readable, _, _ = select.select(watched, [], [], 0.2)
            except (OSError, ValueError):  # closed meanwhile
                continue
            for sock in readable:
                if sock is self._waker:
                    sock.recv(100)
                elif sock is self._listener:
                    self._accept()
                elif sock in self._pairs:
                    self._carry(sock)

    def _accept(self) -> None:
        with suppress(OSError):
            near, _ = self._listener.accept()
            self._accepted += 1
            far = socket.create_connection(self._target)
            self._pairs |= {near: far, far: near}

    def _carry(self, sock: socket.socket) -> None:
        other = self._pairs[sock]
        try:
            data = sock.recv(65_536)
            if data:
                other.sendall(data)
                return
        except OSError:
            pass
        for end in (sock, other):
            self._pairs.pop(end, None)
            end.close()
