"""What one contender runs on: its program, databases, broker and processes."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import psycopg
from kombu import Connection

from tools.servers import postgresql
from tools.servers.rabbitmq_node import Node
from tools.system.ports import LOCAL, free_port
from tools.system.process import Process

from . import program
from .contender import CONSUMER, PAYER, Contender, Kill, ProgramCommand

LOOK_EVERY = 0.2
"""Seconds between two checks."""
SETUP_TIMEOUT = 60
PLUGINS = ("rabbitmq_stomp", "rabbitmq_shovel")
CODES = "SELECT order_id, count(*) FROM access_accesscode GROUP BY order_id"


class Broken(Exception):
    """A contender's program does not start; the message has the end of its output."""


class ContenderStage:
    """Everything that one contender needs; all removed after the `with` block."""

    def __init__(
        self, contender: Contender, python: Path, database_server: str, folder: Path
    ) -> None:
        self.contender = contender
        self._python = python
        self._server = database_server
        self._folder = folder
        self._program = folder / "program"
        self._trap, self._poison = folder / "trap", folder / "poison"
        self._tried = folder / "tried"
        self._processes: dict[str, Process] = {}
        self._kill: Kill | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            program.copy(self.contender, self._program)
            stomp = free_port()
            self.node = Node(
                stack, plugins=PLUGINS, settings=f"stomp.listeners.tcp.1 = {LOCAL}:{stomp}\n"
            )
            token = secrets.token_hex(4)
            self.databases = {
                service: stack.enter_context(
                    postgresql.database(self._server, f"compare_{token}_{service}")
                )
                for service in ("shop", "access")
            }
            self._common = {
                "PATH": os.environ["PATH"],
                "HOME": str(self._folder),
                "PYTHONUNBUFFERED": "1",
                "BROKER_URL": self.node.url,
                "STOMP_PORT": str(stomp),
                "SEALING_KEY": token * 4,
                "TRAP": str(self._trap),
                "POISON": str(self._poison),
            }
            stack.callback(self.end)
            self._stack = stack.pop_all()
        try:
            for command in self.contender.setup:
                self.run(command)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, command: ProgramCommand) -> str:
        """Run a command to its end; returns its output. Raises `Broken`."""
        done = subprocess.run(
            self._arguments(command),
            cwd=self._program,
            env=self._environment(command.service),
            capture_output=True,
            text=True,
            timeout=SETUP_TIMEOUT,
            check=False,
        )
        if done.returncode:
            output = (done.stdout + done.stderr)[-600:]
            raise Broken(f"{' '.join(command.arguments)}: {output}")
        return done.stdout

    def perform(self, kill: Kill | None) -> None:
        """Restart all processes; from now on, `arm` kills one of them where `kill` says."""
        self.end()
        self._kill = kill
        self.supervise()
        self.wait_for_consumer()

    def supervise(self) -> None:
        """Restart processes that have ended, as a supervisor would."""
        for name in self.contender.processes:
            if name not in self._processes or self._processes[name].exit_code is not None:
                self._start(name)

    def stop(self, name: str) -> None:
        self._processes.pop(name).end(10)

    def end(self) -> None:
        for process in self._processes.values():
            process.end(5)
        self._processes.clear()

    def arm(self) -> None:
        self._trap.touch()

    def sprung(self, timeout: float) -> bool:
        """Wait until the armed process is killed; if it is not, disarm it and return false."""
        deadline = time.monotonic() + timeout
        while self._trap.exists() and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY)
        missed = self._trap.exists()
        self._trap.unlink(missing_ok=True)
        if not missed and self._kill and self._kill.process in self._processes:
            self._processes[self._kill.process].wait_or_kill(5)
        return not missed

    def poison(self, orders: Iterable[int]) -> None:
        """From now on, the handler fails for exactly these orders."""
        self._poison.write_text("\n".join(map(str, orders)))

    def start_paying(self, orders: range) -> Process:
        arguments = ("pay", str(orders[0]), str(orders[-1]), str(self._tried))
        return self._process(PAYER, ProgramCommand("shop", arguments))

    def pay(self, orders: range, timeout: float = 60) -> None:
        """Pay orders, each tried once; restart the web process if it is killed."""
        while True:
            payer = self.start_paying(orders)
            code = payer.wait_or_kill(timeout)
            if code == 0:
                return
            if code != -signal.SIGKILL:
                raise Broken(payer.last_lines())

    def paid(self, orders: range) -> set[int]:
        rows = self.query("shop", "SELECT id FROM shop_order")
        return {int(number) for (number,) in rows} & set(orders)

    def codes(self) -> Counter[int]:
        return Counter({int(order): int(count) for order, count in self.query("access", CODES)})

    def pending(self) -> int:
        query = self.contender.pending
        return int(self.query("shop", query)[0][0]) if query else 0

    def query(self, service: str, query: str) -> list[tuple[int, ...]]:
        with psycopg.connect(self.databases[service]) as connection:
            return connection.execute(query.encode()).fetchall()

    def queue(self, name: str = "") -> tuple[int, int]:
        """The number of messages and of consumers of a queue, 0 if it does not exist.

        Without a name, the queue that the access service consumes.
        """
        with Connection(self.node.url, connect_timeout=3) as connection:
            try:
                channel: Any = connection.channel()
                _, messages, consumers = channel.queue_declare(
                    name or self.contender.queue, passive=True
                )
            except (*connection.connection_errors, *connection.channel_errors):
                return 0, 0
        return messages, consumers

    def wait_for_consumer(self, timeout: float = 30) -> None:
        """Raises `Broken` if the queue gets no consumer."""
        deadline = time.monotonic() + timeout
        while not self.queue()[1]:
            self.supervise()
            if time.monotonic() > deadline:
                raise Broken(self._processes[CONSUMER].last_lines())
            time.sleep(LOOK_EVERY)

    def _start(self, name: str) -> None:
        self._processes[name] = self._process(name, self.contender.processes[name])

    def _process(self, name: str, command: ProgramCommand) -> Process:
        environment = self._environment(command.service)
        if self._kill and self._kill.process == name:
            environment["KILL_AT"] = self._kill.place
        return Process(
            name,
            self._arguments(command),
            log=self._folder / f"{name}.log",
            cwd=self._program,
            env=environment,
            is_ready=lambda _: True,
        )

    def _arguments(self, command: ProgramCommand) -> list[str]:
        return [str(self._python), "run.py", *command.arguments]

    def _environment(self, service: str) -> dict[str, str]:
        more = {"DATABASE_URL": self.databases[service]}
        if (self._program / f"{service}_settings.py").exists():
            more["DJANGO_SETTINGS_MODULE"] = f"{service}_settings"
        return self._common | more
