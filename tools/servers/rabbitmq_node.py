"""A private RabbitMQ, which can be killed, restarted on its data, and configured."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tools.system.ports import LOCAL, answers, free_port
from tools.system.process import NotReady, Process

from .found import NotHere, temporary_folder

DEBIAN = Path("/usr/lib/rabbitmq/bin")
"""Debian's wrappers on the PATH require root or the user rabbitmq; the commands here do not."""


INETRC = '{host, {127,0,0,1}, ["localhost"]}.\n{lookup, [file, native]}.\n'


class CtlFailed(Exception):
    """rabbitmqctl failed; the message is its output."""


class NameServer:
    """An epmd for our nodes alone, and the cookie that lets them join each other."""

    def __init__(self, stack: ExitStack) -> None:
        installed()
        folder = temporary_folder(stack, "epmd")
        self.port = free_port()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(self.port),
            "ERL_EPMD_ADDRESS": LOCAL,
        }
        cookie = folder / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        # A node would start an epmd that outlives it; this one ends with us.
        process = Process(
            "epmd",
            ["epmd", "-port", str(self.port), "-address", LOCAL],
            log=folder / "epmd.log",
            env=self.environment,
            is_ready=lambda _: answers(self.port),
        )
        stack.callback(process.end, 0)
        process.until_ready(300)


def node_name(port: int) -> str:
    """Erlang's name of the node that listens on `port`."""
    return f"admit-one-{port}@localhost"


class Node:
    """One node on free ports, with its data in a folder that is removed with the stack.

    Raises `NotHere` if RabbitMQ is not installed or does not start.
    """

    def __init__(
        self,
        stack: ExitStack,
        *,
        definitions: str = "",
        data: Path | None = None,
        plugins: Sequence[str] = (),
        settings: str = "",
        names: NameServer | None = None,
        port: int = 0,
        wait: bool = True,
    ) -> None:
        """`definitions` are users and vhosts as JSON; `data` is another folder for its messages.

        `plugins` are enabled; `settings` are lines for its configuration file. Nodes of a cluster
        have their `names` in common, and a `port` chosen beforehand; `wait_ready` is then for the
        caller, who starts several at once.
        """
        self._program = installed()
        self.folder = temporary_folder(stack, "rabbitmq")
        self.data = data or self.folder / "data"
        self._port = port or free_port()
        self.name = node_name(self._port)
        self.url = f"amqp://guest:guest@{LOCAL}:{self._port}//"
        self._process: Process | None = None
        try:
            self._environment = {
                **(names or NameServer(stack)).environment,
                **self._own(definitions, plugins, settings),
            }
            # Its data is not kept, so it need not shut down cleanly.
            stack.callback(self.kill)
            self.start()
            if wait:
                self.wait_ready()
        except NotReady as error:
            raise NotHere(str(error)) from None

    def start(self) -> None:
        """Start it on its existing data, without waiting for it."""
        self._process = Process(
            "rabbitmq",
            [str(self._program)],
            log=self.folder / "rabbitmq.log",
            env=self._environment,
            is_ready=lambda _: answers(self._port),
        )

    def wait_ready(self, timeout: float = 300) -> None:
        """Wait until it accepts connections. Raises `NotReady`."""
        if self._process is None:
            raise ValueError("rabbitmq: expected to be started before it is waited for")
        self._process.until_ready(timeout)

    @property
    def is_up(self) -> bool:
        return self._process is not None and answers(self._port)

    def kill(self) -> None:
        """Kill it and all its children; does nothing if it is down."""
        if self._process is not None:
            self._process.end(0)
            self._process = None

    def wipe(self) -> None:
        """Delete its data while it is down."""
        shutil.rmtree(self.data, ignore_errors=True)

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl on this node; returns its output. Raises `CtlFailed`."""
        done = subprocess.run(
            [str(_program("rabbitmqctl")), "--quiet", *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        if done.returncode:
            output = f"{done.stdout}{done.stderr}".strip()
            raise CtlFailed(f"rabbitmqctl {' '.join(arguments)}: {output}")
        return done.stdout

    def _own(self, definitions: str, plugins: Sequence[str], more: str) -> dict[str, str]:
        """The part of its environment that isolates it from other nodes on the machine."""
        folder = self.folder
        settings = f"listeners.tcp.1 = {LOCAL}:{self._port}\n{more}"
        if definitions:
            (folder / "definitions.json").write_text(definitions)
            settings += f"load_definitions = {folder / 'definitions.json'}\n"
        (folder / "rabbitmq.conf").write_text(settings)
        (folder / "enabled_plugins").write_text(f"[{','.join(plugins)}].\n")
        # Its name ends in a host, which Erlang looks up; not every machine knows `localhost`.
        (folder / "inetrc").write_text(INETRC)
        return {
            # Makes the start script exec the node instead of waiting for it in a shell.
            "RUNNING_UNDER_SYSTEMD": "true",
            "ERL_INETRC": str(folder / "inetrc"),
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self.data),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        }


def installed() -> Path:
    """The installed server program. Raises `NotHere`."""
    return _program("rabbitmq-server")


def _program(name: str) -> Path:
    program = str(DEBIAN / name) if (DEBIAN / name).exists() else shutil.which(name)
    if not program or not shutil.which("erl") or not shutil.which("epmd"):
        raise NotHere(f"{name} and Erlang were not found on this machine")
    return Path(program)
