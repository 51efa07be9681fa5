"""The databases, broker names and processes of one run.

Databases are copied from templates, so that every measurement starts from the same rows.
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import errors, sql

from tools.servers import postgresql, smtp_sink
from tools.servers.found import NotHere
from tools.system import broker
from tools.system.commands import ROOT
from tools.system.ports import LOCAL, free_port
from tools.system.process import Process, says, wait_ready

from .contenders.place import EXCHANGES, QUEUES, ContenderPlace

Connection = psycopg.Connection[Any]


class BenchStage:
    """Databases, names on the broker and processes; all removed after the `with` block."""

    def __init__(self, broker_url: str, database_url: str) -> None:
        self.broker_url = broker_url
        self._server_url = database_url
        self._token = f"bench_{secrets.token_hex(4)}_"
        self._numbers = itertools.count(1)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="admit-one-bench-"))
        self._stack.callback(shutil.rmtree, self.folder)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def database(self, name: str, template: str = "") -> str:
        """The URL of a new database: empty, or a copy of the one at the URL `template`."""
        name = f"{self._token}{name}"
        self._stack.callback(postgresql.drop, self._server_url, name)
        return postgresql.create(self._server_url, name, template=postgresql.name_in(template))

    @contextmanager
    def copies(self, **templates: str) -> Iterator[dict[str, str]]:
        """A copy of each template, by name; dropped afterwards."""
        copies: dict[str, str] = {}
        try:
            for name, template in templates.items():
                copies[name] = self.database(f"{name}_run{next(self._numbers)}", template)
            yield copies
        finally:
            for url in copies.values():
                postgresql.drop(self._server_url, postgresql.name_in(url))

    @contextmanager
    def place(self, payment: str, student: str, mail: str = "") -> Iterator[ContenderPlace]:
        """Copies of two databases and a prefix on the broker; all removed afterwards."""
        with self.copies(payment=payment, student=student) as copies:
            place = ContenderPlace(
                payment_database=copies["payment"],
                student_database=copies["student"],
                broker=self.broker_url,
                prefix=self.new_prefix(),
                mail=mail,
            )
            try:
                yield place
            finally:
                broker.delete(
                    place.broker,
                    queues=[place.prefix + name for name in QUEUES],
                    exchanges=[place.prefix + name for name in EXCHANGES],
                )

    def checkpoint(self) -> None:
        """Checkpoint now, if allowed, so that the server does not do it during a measurement."""
        with (
            psycopg.connect(self._server_url, autocommit=True) as server,
            suppress(errors.InsufficientPrivilege),
        ):
            server.execute("CHECKPOINT")

    def new_prefix(self) -> str:
        """A prefix that is not in use on the broker."""
        return f"{self._token}{next(self._numbers)}."

    def run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run a command to its end. Raises `CalledProcessError`."""
        subprocess.run(arguments, cwd=ROOT, env=_with(environment), check=True)

    @contextmanager
    def processes(
        self,
        commands: Mapping[str, Sequence[str]],
        environment: Mapping[str, str],
        ready: str = " ready",
    ) -> Iterator[None]:
        """Start commands and wait until each prints `ready`; end them afterwards."""
        started: dict[str, Process] = {}
        try:
            for name, arguments in commands.items():
                started[name] = Process(
                    name,
                    arguments,
                    log=self.folder / f"{name}.log",
                    is_ready=says(ready),
                    cwd=ROOT,
                    env=_with(environment),
                )
            for _ in wait_ready(started.values(), 60):
                pass
            yield
        except Exception as error:
            for process in started.values():
                error.add_note(f"{process.name}: {process.output()[-1000:]}")
            raise
        finally:
            for process in started.values():
                process.end(5)

    @contextmanager
    def sink(self) -> Iterator[str]:
        """An SMTP server that accepts every mail and keeps none; yields its URL."""
        with ExitStack() as stack:
            try:
                url = smtp_sink.started(stack)
            except NotHere:
                url = stack.enter_context(self._sink_in_python())
            yield url

    @contextmanager
    def _sink_in_python(self) -> Iterator[str]:
        smtp, http = free_port(), free_port()
        listen = ["--smtp-port", str(smtp), "--http-port", str(http), "--discard"]
        command = [sys.executable, "-m", "tools.mail_catcher", "--folder", str(self.folder)]
        with self.processes({"mail": [*command, *listen]}, {}):
            yield f"smtp://{LOCAL}:{smtp}"


def _with(environment: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}


def fill(url: str, work: Callable[[Connection], object], *tables: str) -> None:
    """Do `work` in the database at `url`, then vacuum and analyze `tables`.

    Do not analyze empty tables: PostgreSQL would plan for empty tables until the next analyze.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        work(connection)
        for table in tables:
            connection.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(table)))
