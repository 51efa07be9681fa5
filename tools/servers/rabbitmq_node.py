"""A RabbitMQ of our own: started, killed, started again on its data, and configured."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tools.system.ports import LOCAL, answers, free_port
from tools.system.process import NotReady, Process, wait_ready

from .found import NotHere, temporary_folder

DEBIAN = Path("/usr/lib/rabbitmq/bin")
"""Debian's own commands insist on root or on the user rabbitmq; those behind them do not."""


class CtlFailed(Exception):
    """rabbitmqctl ended with an error; the message is its output."""


class Node:
    """One node on free ports, with its data in a folder that goes when the stack closes.

    Raises `NotHere` where RabbitMQ is not installed or does not come up.
    """

    def __init__(
        self,
        stack: ExitStack,
        *,
        definitions: str = "",
        data: Path | None = None,
        plugins: Sequence[str] = (),
        settings: str = "",
    ) -> None:
        """`definitions` are users and vhosts as JSON; `data` puts its messages elsewhere.

        `plugins` are enabled; `settings` are lines for its configuration file.
        """
        self._program = _program("rabbitmq-server")
        self.folder = temporary_folder(stack, "rabbitmq")
        self.data = data or self.folder / "data"
        self._port, self._epmd_port = free_port(), free_port()
        self.url = f"amqp://guest:guest@{LOCAL}:{self._port}//"
        self._environment = self._apart(definitions, plugins, settings)
        self._stack = stack
        self._process: Process | None = None
        # Its data is thrown away: there is nothing to end gently.
        stack.callback(self.kill)
        try:
            self._name_server()
            self.start()
            self.wait_ready()
        except NotReady as error:
            raise NotHere(str(error)) from None

    def start(self) -> None:
        """Start it, on the data that it has, without waiting for it."""
        self._process = Process(
            "rabbitmq",
            [str(self._program)],
            log=self.folder / "rabbitmq.log",
            env=self._environment,
            is_ready=lambda _: answers(self._port),
        )

    def wait_ready(self, timeout: float = 60) -> None:
        """Wait until it takes connections. Raises `NotReady`."""
        if self._process is None:
            raise ValueError("rabbitmq: expected to be started before it is waited for")
        for _ in wait_ready([self._process], timeout):
            pass

    @property
    def is_up(self) -> bool:
        """Whether it takes connections."""
        return self._process is not None and answers(self._port)

    def kill(self) -> None:
        """SIGKILL, for all it has started: no chance to finish anything. Harmless if it is down."""
        if self._process is not None:
            self._process.end(0)
            self._process = None

    def wipe(self) -> None:
        """Delete all that it keeps, while it is down: its next start is its first."""
        shutil.rmtree(self.data, ignore_errors=True)

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl on this node; returns its output. Raises `CtlFailed`."""
        done = subprocess.run(
            [str(_program("rabbitmqctl")), "--quiet", *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            output = f"{done.stdout}{done.stderr}".strip()
            raise CtlFailed(f"rabbitmqctl {' '.join(arguments)}: {output}")
        return done.stdout

    def _name_server(self) -> None:
        # The node would start a name server of its own that outlives it; ours ends with us.
        process = Process(
            "epmd",
            ["epmd", "-port", str(self._epmd_port), "-address", LOCAL],
            log=self.folder / "epmd.log",
            env=self._environment,
            is_ready=lambda _: answers(self._epmd_port),
        )
        self._stack.callback(process.end, 0)
        for _ in wait_ready([process], 60):
            pass

    def _apart(self, definitions: str, plugins: Sequence[str], more: str) -> dict[str, str]:
        """All that keeps this node apart from any other on the machine."""
        folder = self.folder
        settings = f"listeners.tcp.1 = {LOCAL}:{self._port}\n{more}"
        if definitions:
            (folder / "definitions.json").write_text(definitions)
            settings += f"load_definitions = {folder / 'definitions.json'}\n"
        (folder / "rabbitmq.conf").write_text(settings)
        (folder / "enabled_plugins").write_text(f"[{','.join(plugins)}].\n")
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),  # the node's cookie
            # The start script becomes the node, instead of a shell that waits for it.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_NODENAME": f"admit-one-{self._port}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": LOCAL,
            "RABBITMQ_MNESIA_BASE": str(self.data),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        }


def _program(name: str) -> Path:
    program = str(DEBIAN / name) if (DEBIAN / name).exists() else shutil.which(name)
    if not program or not shutil.which("erl") or not shutil.which("epmd"):
        raise NotHere(f"no {name} with its Erlang was found on this machine")
    return Path(program)
