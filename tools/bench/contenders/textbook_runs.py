"""Runs of the textbook way."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

from tools.bench import broker_names, posts
from tools.bench.databases import fill
from tools.bench.drain import Drained, Progress, until_active
from tools.bench.latency import Customer
from tools.bench.stage import Stage
from tools.system.ports import LOCAL, free_port

from . import tables
from .bare_runs import WAITING
from .place import Place

PROCESSES = (
    "student-tasks", "student-consumer", "payment-tasks", "payment-consumer", "mail-tasks",
)  # fmt: skip
SHOWN = "SELECT 1 FROM subscription WHERE id = %s AND access_code IS NOT NULL"
INBOXES = ("payment.inbox", "student.inbox")
EXCHANGES = ("payment.events", "student.events")
TASKS = ("payment.tasks", "student.tasks", "mail.tasks")
"""Celery gives each of its queues an exchange of the same name."""

YARDSTICK = "tools.bench.contenders.textbook"


class TextbookWay:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def prepare(self) -> None:
        """Make the two empty databases."""
        self._payment = self._stage.databases.create("textbook_payment")
        self._student = self._stage.databases.create("textbook_student")
        fill(self._payment, lambda connection: connection.execute(tables.PAYMENT))
        fill(self._student, lambda connection: connection.execute(tables.STUDENT))

    def drain(self, count: int, progress: Progress) -> Drained:
        """Rows and their `delay`s first, then all processes, the payment side's tasks last."""
        with self._place() as place:
            environment = place.as_environment()
            self._stage.run([sys.executable, "-m", YARDSTICK, "record", str(count)], environment)
            with ExitStack() as stack:
                for names in (
                    ["student-tasks", "payment-consumer", "student-consumer"],
                    ["payment-tasks"],
                ):
                    self._stage.databases.settle()
                    commands = {name: _command(name, place) for name in names}
                    stack.enter_context(self._stage.processes(commands, environment))
                return until_active(place.payment_database, WAITING, count, progress)

    @contextmanager
    def customer(self) -> Iterator[Customer]:
        """One who posts to the whole idle system."""
        with self.running() as (web, database), closing(Customer(web, database, SHOWN)) as customer:
            yield customer

    def posts(self, seconds: float) -> float:
        """POSTs accepted in a second by the web process alone."""
        with self.running(only=()) as (web, _):
            return posts.rate(web, "", seconds)

    @contextmanager
    def running(self, only: Sequence[str] = PROCESSES) -> Iterator[tuple[str, str]]:
        """A web process and those others: its URL, and that of the payment database."""
        with self._stage.sink() as email_url, self._place(email_url) as place:
            port = free_port()
            commands = {name: _command(name, place) for name in only}
            web = [sys.executable, "-m", "uvicorn", f"{YARDSTICK}_web:application"]
            web += ["--host", LOCAL, "--port", str(port), "--log-level", "info", "--no-access-log"]
            environment = place.as_environment()
            with (
                self._stage.processes(commands, environment),
                self._stage.processes({"textbook-web": web}, environment, "(Press CTRL+C to quit)"),
            ):
                yield f"http://{LOCAL}:{port}", place.payment_database

    @contextmanager
    def _place(self, email_url: str = "") -> Iterator[Place]:
        stage = self._stage
        with stage.databases.copies(payment=self._payment, student=self._student) as copies:
            place = Place(
                payment_database=copies["payment"],
                student_database=copies["student"],
                broker=stage.broker_url,
                prefix=stage.new_prefix(),
                mail=email_url,
            )
            stage.run([sys.executable, "-m", YARDSTICK, "declare"], place.as_environment())
            try:
                yield place
            finally:
                broker_names.delete(
                    place.broker,
                    queues=[place.prefix + name for name in (*INBOXES, *TASKS)],
                    exchanges=[place.prefix + name for name in (*EXCHANGES, *TASKS)],
                )


def _command(name: str, place: Place) -> list[str]:
    side, _, role = name.partition("-")
    if role == "consumer":
        return [sys.executable, "-m", YARDSTICK, name]
    worker = [sys.executable, "-m", "celery", "-A", f"{YARDSTICK}:{side}", "worker"]
    # As many child processes as there are cores: Celery's default.
    return [*worker, "--hostname", f"{place.prefix}{side}@%h", "--loglevel", "WARNING"]
