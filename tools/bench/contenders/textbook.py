"""The textbook way as a contender."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tools.bench.contender import Drained, Progress, RunningContender
from tools.bench.drain import until_active
from tools.bench.results import TEXTBOOK
from tools.bench.stage import BenchStage, fill
from tools.system.ports import LOCAL, free_port

from . import tables
from .place import HAS_CODE, WAITING, ContenderPlace

# Not imported, because importing the tasks needs a broker.
TASKS_MODULE = f"{__name__}_tasks"
WEB_MODULE = f"{__name__}_web"

FIRST = "payment-tasks"
"""The backlog waits for them, so they start last."""

WITHOUT_MAIL = ("student-tasks", "payment-consumer", "student-consumer")


class Textbook:
    name = TEXTBOOK

    def __init__(self, stage: BenchStage) -> None:
        self._stage = stage

    def prepare(self) -> None:
        self._payment = self._stage.database("textbook_payment")
        self._student = self._stage.database("textbook_student")
        fill(self._payment, lambda connection: connection.execute(tables.PAYMENT))
        fill(self._student, lambda connection: connection.execute(tables.STUDENT))

    def prepare_backlog(self, count: int) -> None:
        """Each drain records its own: half of it is tasks on the broker, which cannot be copied."""
        self._count = count

    def drain(self, progress: Progress) -> Drained:
        with self._place() as place, ExitStack() as stack:
            self._run(place, "record", str(self._count))
            for names in (WITHOUT_MAIL, (FIRST,)):
                self._stage.checkpoint()
                commands = {name: _command(name, place) for name in names}
                stack.enter_context(self._stage.processes(commands, place.as_environment()))
            return until_active(place.payment_database, WAITING, self._count, progress)

    @contextmanager
    def running(self) -> Iterator[RunningContender]:
        names = (*WITHOUT_MAIL, FIRST, "mail-tasks")
        with self._stage.sink() as mail, self._place(mail) as place:
            commands = {name: _command(name, place) for name in names}
            with self._stage.processes(commands, place.as_environment()), self._web(place) as web:
                yield web

    @contextmanager
    def web_alone(self) -> Iterator[RunningContender]:
        with self._place() as place, self._web(place) as web:
            yield web

    @contextmanager
    def _place(self, mail: str = "") -> Iterator[ContenderPlace]:
        with self._stage.place(self._payment, self._student, mail) as place:
            self._run(place, "declare")
            yield place

    def _run(self, place: ContenderPlace, *arguments: str) -> None:
        self._stage.run([sys.executable, "-m", TASKS_MODULE, *arguments], place.as_environment())

    @contextmanager
    def _web(self, place: ContenderPlace) -> Iterator[RunningContender]:
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", f"{WEB_MODULE}:application"]
        command += ["--host", LOCAL, "--port", str(port), "--log-level", "info", "--no-access-log"]
        commands = {"textbook-web": command}
        with self._stage.processes(commands, place.as_environment(), "(Press CTRL+C to quit)"):
            yield RunningContender(f"http://{LOCAL}:{port}", place.payment_database, HAS_CODE)


def _command(name: str, place: ContenderPlace) -> list[str]:
    side, _, role = name.partition("-")
    if role == "consumer":
        return [sys.executable, "-m", TASKS_MODULE, name]
    worker = [sys.executable, "-m", "celery", "-A", f"{TASKS_MODULE}:{side}", "worker"]
    # Celery's default: as many child processes as cores.
    return [*worker, "--hostname", f"{place.prefix}{side}@%h", "--loglevel", "WARNING"]
