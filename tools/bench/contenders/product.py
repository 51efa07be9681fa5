"""Admit One as a contender: every process of both services."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import LiteralString

from tools.bench import memory, processor, reconciliation
from tools.bench.contender import Drained, Progress, RunningContender
from tools.bench.drain import all_mailed, mails_sent, until_active
from tools.bench.latency import LatencyClient
from tools.bench.reconciliation import Reconciled
from tools.bench.results import PRODUCT
from tools.bench.stage import BenchStage, Connection, fill
from tools.system import broker
from tools.system.backends import Backends
from tools.system.keys import new_keys
from tools.system.system import PROCESSES, SERVICES, System

from . import events

WAITING = """
SELECT count(*) FROM subscriptions_subscription
WHERE next_request_at IS NOT NULL
  AND ((access_code IS NULL AND cancelled_at IS NULL)
       OR (cancelled_at IS NOT NULL AND code_revoked_at IS NULL)
       OR (cancelled_at IS NULL AND terms_applied < terms_version))
"""
"""The condition of the index `subscription_waits`, so that the query does not disturb what is
measured."""

HAS_CODE = "SELECT 1 FROM subscriptions_subscription WHERE id = %s AND access_code IS NOT NULL"

FIRST = "payment-relay"
"""The backlog waits for it, so it starts last."""

MAIL_WORKER = "student-tasks"
ALL = tuple(name for name in PROCESSES if name != "mail")

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

ISSUE = """
from datetime import datetime, UTC
from access_codes import codes
from django.db import transaction
from shared_contracts.events import UserSubscribed
from uuid_utils.compat import uuid7
made = [codes.make() for _ in range({count})]
now = datetime.now(UTC)
paid = dict(user_id="user", email="student@example.com", plan="{plan}", amount=1990)
paid |= dict(currency="EUR", occurred_at=now)
with transaction.atomic():
    codes.keep((UserSubscribed(subscription_id=uuid7(), **paid), code, now) for code in made)
print(*made)
"""
CODES = 2_000
"""Codes that are asked about in turn: so many that two requests rarely wait for one row."""

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
"""Bodies as long as a sealed event, and random ids, which spread over the indexes."""


class AdmitOne:
    """`peaks` collects the peak memory of each process."""

    name = PRODUCT

    def __init__(self, stage: BenchStage) -> None:
        self._stage = stage
        self._keys = new_keys()
        self.peaks: dict[str, int] = {}

    def prepare(self) -> None:
        self._payment = self._stage.database("payment")
        self._student = self._stage.database("student")
        with self._system(self._payment, self._student) as system:
            system.migrate()
            self._api_key = system.new_api_key("bench")
            # They store canaries of the keys; otherwise keys would be checked on the fake old rows.
            system.start("payment-web", "student-web")
            system.wait_ready()

    def prepare_backlog(self, count: int) -> None:
        self._count = count
        self._backlog = self._stage.database("payment_backlog", self._payment)
        with self._system(self._backlog, self._student) as system:
            system.manage("payment_service", "shell", "-v0", "-c", RECORD.format(count=count))
        fill(self._backlog, lambda _: None, "subscriptions_subscription", "messaging_outbox")

    def prepare_history(self, count: int) -> None:
        """Copy both databases, and add `count` old rows to each outbox and inbox."""
        self._old_backlog = self._stage.database("payment_old", self._backlog)
        self._old_student = self._stage.database("student_old", self._student)
        for url in (self._old_backlog, self._old_student):
            fill(url, lambda c: _add_history(c, count), "messaging_outbox", "messaging_inbox")

    def prepare_reconciliation(self, count: int) -> None:
        """Copy both databases, and add `count` subscriptions and their codes."""
        self._compared = {
            "payment": self._stage.database("payment_compared", self._payment),
            "student": self._stage.database("student_compared", self._student),
        }
        with self._system(**self._compared) as system:
            for service in SERVICES:
                script = reconciliation.script(service, count)
                system.manage(service, "shell", "-v0", "--no-imports", "-c", script)
        fill(self._compared["payment"], lambda _: None, "subscriptions_subscription")
        fill(self._compared["student"], lambda _: None, "access_codes_accesscode")

    def prepare_codes(self) -> None:
        """Copy the student database, and issue codes in it."""
        self._asked = self._stage.database("student_asked", self._student)
        with self._system(self._payment, self._asked) as system:
            script = ISSUE.format(count=CODES, plan=events.PLAN)
            printed = system.manage("student_service", "shell", "-v0", "--no-imports", "-c", script)
            self._codes = tuple(printed.split())
            self._student_key = system.new_api_key("bench", "student_service")
        fill(self._asked, lambda _: None, "access_codes_accesscode")

    def drain(self, progress: Progress) -> Drained:
        return self._drain(progress, self._backlog, self._student, {FIRST, MAIL_WORKER})

    def drain_with_history(self, progress: Progress) -> Drained:
        return self._drain(progress, self._old_backlog, self._old_student, {FIRST, MAIL_WORKER})

    def drain_mailing(self, progress: Progress) -> tuple[Drained, Drained]:
        """The codes, and the codes with their mails."""
        with self._ready_to_drain(self._backlog, self._student, {FIRST}) as system:
            start = time.perf_counter()
            codes = self._codes_drained(system, progress)
            student = system.backends.student_database_url
            all_mailed(student, self._count, progress)
            return codes, Drained(self._count, time.perf_counter() - start)

    def mails(self, count: int, progress: Progress) -> tuple[Drained, float]:
        """Drain the backlog without the mail worker, then start it and time the mails.

        Also returns the seconds of processor time that the worker used for each.
        """
        with self._system_on(self._backlog, self._student, without={MAIL_WORKER}) as system:
            payment = system.backends.payment_database_url
            until_active(payment, WAITING, self._count, lambda _: None)
            system.start(MAIL_WORKER)
            system.wait_ready(MAIL_WORKER)
            worker = system.process(MAIL_WORKER).pid
            used = 0.0

            def warm() -> None:
                nonlocal used
                used = processor.seconds(worker)

            sent = mails_sent(system.backends.student_database_url, count, progress, warm)
            return sent, (processor.seconds(worker) - used) / sent.count

    def reconciled(self, samples: int, progress: Progress) -> Reconciled:
        command = ["reconcile", "--from", reconciliation.FIRST_PAID, "--wait", "3600"]
        with (
            self._system_on(**self._compared) as system,
            closing(LatencyClient(self._running(system))) as client,
        ):
            compare = partial(system.manage, "payment_service", *command)
            return reconciliation.reconciled(client, compare, samples, progress)

    @contextmanager
    def running(self) -> Iterator[RunningContender]:
        with self._system_on(self._payment, self._student) as system:
            yield self._running(system)

    @contextmanager
    def web_alone(self) -> Iterator[RunningContender]:
        with self._system_on(self._payment, self._student, only={"payment-web"}) as system:
            yield self._running(system)

    @contextmanager
    def student_web_alone(self) -> Iterator[RunningContender]:
        with self._system_on(self._payment, self._asked, only={"student-web"}) as system:
            url = system.backends.student_database_url
            yield RunningContender(system.student_url, url, "", self._student_key, self._codes)

    def posted_to(self) -> tuple[str, str]:
        """The payment database, and an API key."""
        return self._payment, self._api_key

    def asked(self) -> tuple[str, str, tuple[str, ...], str]:
        """The student database with codes, an API key, the codes, and the key to look them up."""
        lookup_key = self._keys["student_service"]["CODE_LOOKUP_KEY"]
        return self._asked, self._student_key, self._codes, lookup_key

    def _drain(
        self, progress: Progress, payment: str, student: str, without: Collection[str]
    ) -> Drained:
        with self._ready_to_drain(payment, student, without) as system:
            return self._codes_drained(system, progress)

    @contextmanager
    def _ready_to_drain(
        self, payment: str, student: str, without: Collection[str]
    ) -> Iterator[System]:
        with self._system_on(payment, student, without=without) as system:
            self._stage.checkpoint()
            system.start(FIRST)
            system.wait_ready(FIRST)
            yield system

    def _codes_drained(self, system: System, progress: Progress) -> Drained:
        url = system.backends.payment_database_url
        return until_active(url, WAITING, self._count, progress)

    def _running(self, system: System) -> RunningContender:
        database_url = system.backends.payment_database_url
        return RunningContender(system.payment_url, database_url, HAS_CODE, self._api_key)

    @contextmanager
    def _system_on(
        self,
        payment: str,
        student: str,
        *,
        only: Collection[str] = ALL,
        without: Collection[str] = (),
    ) -> Iterator[System]:
        """A system that is ready, on copies of these databases."""
        with (
            self._stage.copies(payment=payment, student=student) as copies,
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
                broker.forget(system.backends.broker_url, system.backends.prefix)

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


def _add_history(connection: Connection, count: int) -> None:
    for statement in OLD_ROWS:
        connection.execute(statement, {"count": count})
