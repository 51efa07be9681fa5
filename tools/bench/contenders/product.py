"""Runs of the product itself: every process of both services, on databases of their own."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from typing import LiteralString

from shared_contracts.topology import TOPOLOGY

from tools.bench import broker_names, mails, memory, posts
from tools.bench.databases import Connection, fill
from tools.bench.drain import Drained, Progress, until_active
from tools.bench.latency import Customer
from tools.bench.stage import Stage
from tools.system.backends import Backends
from tools.system.keys import new_keys
from tools.system.system import PROCESSES, System

WAITING = """
SELECT count(*) FROM subscriptions_subscription
WHERE (access_code IS NULL AND cancelled_at IS NULL)
   OR (cancelled_at IS NOT NULL AND code_revoked_at IS NULL)
"""
"""By the condition of an index, as the bare loop is asked: who looks must not slow what it sees."""

SHOWN = "SELECT 1 FROM subscriptions_subscription WHERE id = %s AND access_code IS NOT NULL"

FIRST = "payment-relay"
"""It has what all the others wait for: it starts last."""

MAIL_WORKER = "student-tasks"
SERVICES_PROCESSES = tuple(name for name in PROCESSES if name != "mail")

RECORD = """
from django.db import transaction
from subscriptions.services import record_subscription
for start in range(0, {count}, 500):
    with transaction.atomic():
        for number in range(start, min(start + 500, {count})):
            record_subscription(
                client="bench", user_id=f"user-{{number}}", email=f"student-{{number}}@example.com",
                plan="pro-monthly", amount=1990, currency="EUR",
            )
"""

OLD_ROWS: tuple[LiteralString, ...] = (
    """
    INSERT INTO messaging_outbox (event_id, type, subject, body, created_at, next_attempt_at,
                                  attempts, last_error, published_at)
    SELECT gen_random_uuid()::text, 'old_event', gen_random_uuid()::text,
           decode(repeat(md5(n::text), 40), 'hex'), moment, moment, 0, '', moment
    FROM generate_series(1, %(count)s::int) AS n,
         LATERAL (SELECT now() - interval '1 day' - n * interval '1 second' AS moment) AS past
    """,
    """
    INSERT INTO messaging_inbox (source, event_id, type, subject, fingerprint, received_at)
    SELECT '/old_service', gen_random_uuid()::text, 'old_event', gen_random_uuid()::text,
           decode(md5(n::text), 'hex'), now() - interval '1 day' - n * interval '1 second'
    FROM generate_series(1, %(count)s::int) AS n
    """,
)
"""Bodies as long as a sealed event; random ids, so that they lie all over the indexes."""


class Product:
    """`peaks` collects the largest memory that each process ever had."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._keys = new_keys()
        self.peaks: dict[str, int] = {}

    def prepare(self) -> None:
        """Make the two migrated databases, empty but for a key to the API."""
        databases = self._stage.databases
        self._payment = databases.create("payment")
        self._student = databases.create("student")
        with self._system(self._payment, self._student) as system:
            system.migrate()
            self.api_key = system.new_api_key("bench")
            # The first processes leave a mark of the keys, so that none tries the made-up old rows.
            system.start("payment-web", "student-web")
            system.wait_ready()

    def prepare_backlog(self, count: int) -> None:
        """Make a payment database with `count` subscriptions that nobody was told of yet."""
        self._count = count
        self._backlog = self._stage.databases.create("payment_backlog", self._payment)
        with self._system(self._backlog, self._student) as system:
            system.manage("payment_service", "shell", "-v0", "-c", RECORD.format(count=count))
        fill(self._backlog, lambda _: None, "subscriptions_subscription", "messaging_outbox")

    def prepare_history(self, count: int) -> None:
        """Make both databases once more, with `count` old rows in each outbox and inbox."""
        databases = self._stage.databases
        self._old_backlog = databases.create("payment_old", self._backlog)
        self._old_student = databases.create("student_old", self._student)
        for url in (self._old_backlog, self._old_student):
            fill(url, lambda c: _add_history(c, count), "messaging_outbox", "messaging_inbox")

    def drain(self, progress: Progress, *, mail: bool = False, history: bool = False) -> Drained:
        """All processes; the mail worker only with `mail`, the old rows only with `history`."""
        payment = self._old_backlog if history else self._backlog
        student = self._old_student if history else self._student
        without = {FIRST} if mail else {FIRST, MAIL_WORKER}
        with self.running(payment, student, without=without) as system:
            self._stage.databases.settle()
            system.start(FIRST)
            system.wait_ready(FIRST)
            url = system.backends.payment_database_url
            return until_active(url, WAITING, self._count, progress)

    @contextmanager
    def customer(self) -> Iterator[Customer]:
        """One who posts to the whole idle system."""
        with self.running() as system:
            database = system.backends.payment_database_url
            customer = Customer(system.payment_url, database, SHOWN, self.api_key)
            with closing(customer):
                yield customer

    def posts(self, seconds: float) -> float:
        """POSTs accepted in a second by the web process alone."""
        with self.running(only={"payment-web"}) as system:
            return posts.rate(system.payment_url, self.api_key, seconds)

    def mails(self, count: int, progress: Progress) -> Drained:
        """Drain the backlog without the mail worker, then start it and time the mails."""
        with self.running(self._backlog, self._student, without={MAIL_WORKER}) as system:
            payment = system.backends.payment_database_url
            until_active(payment, WAITING, self._count, lambda _: None)
            system.start(MAIL_WORKER)
            system.wait_ready(MAIL_WORKER)
            return mails.sent(system.backends.student_database_url, count, progress)

    @contextmanager
    def running(
        self,
        payment: str = "",
        student: str = "",
        *,
        only: Collection[str] = SERVICES_PROCESSES,
        without: Collection[str] = (),
    ) -> Iterator[System]:
        """The system on copies of these databases (else of the empty ones), ready."""
        templates = {"payment": payment or self._payment, "student": student or self._student}
        with (
            self._stage.databases.copies(**templates) as copies,
            self._stage.sink() as email_url,
            self._system(copies["payment"], copies["student"], email_url) as system,
        ):
            try:
                system.start(*(name for name in only if name not in without))
                system.wait_ready()
                yield system
                self._note_peaks(system)
            finally:
                system.close()
                _forget(system.backends)

    def _system(self, payment: str, student: str, email_url: str = "") -> System:
        backends = Backends(
            payment_database_url=payment,
            student_database_url=student,
            broker_url=self._stage.broker_url,
            prefix=self._stage.new_prefix(),
            email_url=email_url,
        )
        return System(self._stage.folder, backends, keys=self._keys)

    def _note_peaks(self, system: System) -> None:
        for name in system.running():
            for part, peak in memory.peaks(name, system.process(name).pid).items():
                self.peaks[part] = max(peak, self.peaks.get(part, 0))


def _forget(backends: Backends) -> None:
    """Delete from the broker all that a system with this prefix has made there."""
    prefix = backends.prefix
    tasks = [f"{prefix}{name}.tasks" for name in TOPOLOGY]
    inboxes = [service.inbox(prefix) for service in TOPOLOGY.values()]
    dead = [service.dead(prefix) for service in TOPOLOGY.values()]
    events = [service.exchange(prefix) for service in TOPOLOGY.values()]
    broker_names.delete(
        backends.broker_url, queues=inboxes + dead + tasks, exchanges=events + dead + tasks
    )


def _add_history(connection: Connection, count: int) -> None:
    for statement in OLD_ROWS:
        connection.execute(statement, {"count": count})
