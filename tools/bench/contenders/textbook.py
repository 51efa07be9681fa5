"""How the textbook way runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tools.bench.contender import Drained, Progress, Running
from tools.bench.databases import fill
from tools.bench.drain import until_active
from tools.bench.results import TEXTBOOK
from tools.bench.stage import Stage
from tools.system.ports import LOCAL, free_port

from . import tables
from .place import Place
from .places import HAS_CODE, WAITING, Places

# Named and not imported: the tasks connect to a broker when they are.
TASKS_MODULE = f"{__name__}_tasks"
WEB_MODULE = f"{__name__}_web"

FIRST = "payment-tasks"
"""They hold what all the others wait for: they start last."""

WITHOUT_MAIL = ("student-tasks", "payment-consumer", "student-consumer")
TASK_QUEUES = ("payment.tasks", "student.tasks", "mail.tasks")
"""Celery gives each of its queues an exchange of the same name."""


class Textbook:
    name = TEXTBOOK

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def prepare(self) -> None:
        databases = self._stage.databases
        self._places = Places(
            self._stage,
            databases.create("textbook_payment"),
            databases.create("textbook_student"),
            queues=["payment.inbox", "student.inbox", *TASK_QUEUES],
            exchanges=["payment.events", "student.events", *TASK_QUEUES],
        )
        fill(self._places.payment, lambda connection: connection.execute(tables.PAYMENT))
        fill(self._places.student, lambda connection: connection.execute(tables.STUDENT))

    def prepare_backlog(self, count: int) -> None:
        """Half of it is tasks on the broker, which no copy has: each run records its own."""
        self._count = count

    def drain(self, progress: Progress) -> Drained:
        with self._place() as place, ExitStack() as stack:
            self._run(place, "record", str(self._count))
            for names in (WITHOUT_MAIL, (FIRST,)):
                self._stage.databases.checkpoint()
                commands = {name: _command(name, place) for name in names}
                stack.enter_context(self._stage.processes(commands, place.as_environment()))
            return until_active(place.payment_database, WAITING, self._count, progress)

    @contextmanager
    def running(self) -> Iterator[Running]:
        names = (*WITHOUT_MAIL, FIRST, "mail-tasks")
        with self._stage.sink() as mail, self._place(mail) as place:
            commands = {name: _command(name, place) for name in names}
            with self._stage.processes(commands, place.as_environment()), self._web(place) as web:
                yield web

    @contextmanager
    def web_alone(self) -> Iterator[Running]:
        with self._place() as place, self._web(place) as web:
            yield web

    @contextmanager
    def _place(self, mail: str = "") -> Iterator[Place]:
        with self._places.new(mail) as place:
            self._run(place, "declare")
            yield place

    def _run(self, place: Place, *arguments: str) -> None:
        self._stage.run([sys.executable, "-m", TASKS_MODULE, *arguments], place.as_environment())

    @contextmanager
    def _web(self, place: Place) -> Iterator[Running]:
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", f"{WEB_MODULE}:application"]
        command += ["--host", LOCAL, "--port", str(port), "--log-level", "info", "--no-access-log"]
        commands = {"textbook-web": command}
        with self._stage.processes(commands, place.as_environment(), "(Press CTRL+C to quit)"):
            yield Running(f"http://{LOCAL}:{port}", place.payment_database, HAS_CODE)


def _command(name: str, place: Place) -> list[str]:
    side, _, role = name.partition("-")
    if role == "consumer":
        return [sys.executable, "-m", TASKS_MODULE, name]
    worker = [sys.executable, "-m", "celery", "-A", f"{TASKS_MODULE}:{side}", "worker"]
    # As many child processes as there are cores: Celery's default.
    return [*worker, "--hostname", f"{place.prefix}{side}@%h", "--loglevel", "WARNING"]
