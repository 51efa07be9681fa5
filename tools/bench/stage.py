"""What one run of the bench has to itself on the servers and on this machine."""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from tools.system.commands import ROOT
from tools.system.ports import LOCAL, free_port
from tools.system.process import Process, says, wait_ready

from .databases import Databases


class Stage:
    """Databases, names on the broker and processes of our own; all gone after the `with` block."""

    def __init__(self, broker_url: str, database_url: str) -> None:
        self.broker_url = broker_url
        token = f"bench_{secrets.token_hex(4)}_"
        self.databases = Databases(database_url, token)
        self._prefixes = (f"{token}{number}." for number in itertools.count(1))
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.folder = Path(tempfile.mkdtemp(prefix="admit-one-bench-"))
            stack.callback(shutil.rmtree, self.folder)
            stack.enter_context(self.databases)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def new_prefix(self) -> str:
        """A prefix that no name on the broker has yet."""
        return next(self._prefixes)

    def run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run a command to its end. Raises `CalledProcessError`."""
        subprocess.run(arguments, cwd=ROOT, env=_with(environment), check=True)

    @contextmanager
    def processes(
        self,
        commands: Mapping[str, Sequence[str]],
        environment: Mapping[str, str],
        ready: str = " ready",
    ) -> Iterator[dict[str, Process]]:
        """Start commands by name, wait until each prints `ready`; end them."""
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
            yield started
        except Exception as error:
            for process in started.values():
                error.add_note(f"{process.name}: {process.output()[-1000:]}")
            raise
        finally:
            for process in started.values():
                process.end(5)

    @contextmanager
    def sink(self) -> Iterator[str]:
        """An SMTP server that takes every mail and keeps none; yields its URL."""
        smtp, http = free_port(), free_port()
        listen = ["--smtp-port", str(smtp), "--http-port", str(http), "--discard"]
        command = [sys.executable, "-m", "tools.mail_catcher", "--folder", str(self.folder)]
        with self.processes({"mail": [*command, *listen]}, {}):
            yield f"smtp://{LOCAL}:{smtp}"


def _with(environment: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
