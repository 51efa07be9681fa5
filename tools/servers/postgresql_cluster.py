"""A private PostgreSQL, which can be crashed and restarted on its data."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import psycopg

from tools.system.ports import LOCAL, free_port
from tools.system.process import CHILD, NotReady, Process

from .found import NotHere, must_be_executable, temporary_folder


class Cluster:
    """One server on a free port, with its data in a folder that is removed with the stack.

    Raises `NotHere` if it does not start.
    """

    def __init__(self, stack: ExitStack, programs: Path) -> None:
        must_be_executable(programs / "postgres")
        self._programs = programs
        self._user = unprivileged()
        self.folder = temporary_folder(stack, "postgresql")
        if self._user != "-":
            shutil.chown(self.folder, self._user)
        self._port = free_port()
        self.url = f"postgres://postgres@{LOCAL}:{self._port}/postgres"
        self._process: Process | None = None
        self._initialise()
        # Its data is not kept, so it need not shut down cleanly.
        stack.callback(self._end)
        try:
            self.start()
            self.wait_ready()
        except NotReady as error:
            raise NotHere(str(error)) from None

    def start(self) -> None:
        """Start it on its existing data, without waiting for it."""
        listen = ["-h", LOCAL, "-p", str(self._port), "-k", str(self.folder)]
        where = ["-D", str(self._data), *listen, "-c", "max_connections=200"]
        self._process = Process(
            "postgresql",
            [str(self._programs / "postgres"), *where],
            log=self.folder / "log",
            cwd=self.folder,
            user=self._user,
            is_ready=lambda _: _accepts(self.url),
        )

    def wait_ready(self, timeout: float = 300) -> None:
        """Wait until it accepts connections. Raises `NotReady`."""
        if self._process is None:
            raise ValueError("postgresql: expected to be started before it is waited for")
        self._process.until_ready(timeout)

    def crash(self) -> None:
        """End it without a checkpoint, so that its next start must recover.

        With SIGQUIT, which also ends its children; after a SIGKILL they would keep the data locked.
        """
        if self._process is not None:
            self._process.signal(signal.SIGQUIT)
            self._process.wait_or_kill(10)
            self._process = None

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _end(self) -> None:
        if self._process is not None:
            self._process.end(0)

    def _initialise(self) -> None:
        options = ["-U", "postgres", "--auth", "trust", "-E", "UTF8", "--locale", "C", "--no-sync"]
        self._run("initdb", "-D", str(self._data), *options)

    def _run(self, program: str, *arguments: str) -> None:
        """Run one of its programs. Raises `NotHere` if it fails."""
        done = subprocess.run(
            [
                *(sys.executable, "-I", "-S", str(CHILD), str(os.getpid()), self._user),
                *(str(self._programs / program), *arguments),
            ],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise NotHere(f"{program} failed: {done.stderr.strip()}")


class Standby(Cluster):
    """A copy of `primary` that follows it, and only reads until it is promoted.

    From then on, the primary confirms no commit that its standby has not got.
    """

    def __init__(self, stack: ExitStack, programs: Path, primary: Cluster) -> None:
        must_be_executable(programs / "pg_basebackup")
        self._primary = primary
        super().__init__(stack, programs)
        with psycopg.connect(primary.url, autocommit=True) as server:
            server.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            server.execute("SELECT pg_reload_conf()")

    def promote(self) -> None:
        """Let it write from now on. Its primary must have ended."""
        with psycopg.connect(self.url, autocommit=True) as server:
            server.execute("SELECT pg_promote(wait => true)")

    def _initialise(self) -> None:
        # With the file that says whom it follows.
        self._run("pg_basebackup", "-d", self._primary.url, "-D", str(self._data), "-R", "-N")


def unprivileged() -> str:
    """The user to run it, since PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return "-"
    users = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in users else "nobody"


def _accepts(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=1).close()
    except psycopg.OperationalError:
        return False
    return True
