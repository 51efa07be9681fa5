"""One run: start the system, inject faults under load, let it recover, and check the outcome."""

from __future__ import annotations

import time
from collections.abc import Sequence
from http.client import HTTPException
from typing import Self

import psycopg

from tests_integration.chaos.faults.driver import Driver, NotRecovered
from tests_integration.chaos.faults.plan import Planned
from tests_integration.chaos.load.actors import Actors
from tests_integration.chaos.load.mail_history import MailHistory
from tests_integration.chaos.stage.stage import Stage
from tests_integration.chaos.verdict.checker import verify
from tests_integration.chaos.verdict.gathering import gather, is_idle
from tests_integration.harness import leaks, persons
from tools.system.system import PROCESSES, CommandFailed

from .options import ChaosOptions
from .result import ChaosResult, Progress

NOT_READY = (OSError, HTTPException, AssertionError, psycopg.Error)
"""Errors of a system that has not recovered yet."""

MAX_GROWTH = 64 * 2**20
"""Bytes by which the memory of a process may grow during a run."""

LONG = 20.0
"""Seconds in which every actor has its turn."""

LOOK_EVERY = 0.2
SHOW_EVERY = 1.0


def run(
    stage: Stage,
    options: ChaosOptions,
    plan: Sequence[Planned],
    progress: Progress = lambda *_: None,
) -> ChaosResult:
    """Carry out `plan` on the system on `stage` while it is under load."""
    with ChaosRun(stage, options, progress) as running:
        running.inject_faults(plan)
        running.recover()
        running.wait_until_idle()
        running.judge()
        running.search()
        running.count()
    return running.result


class ChaosRun:
    """A run in progress: creating it starts the system, entering it the load."""

    def __init__(self, stage: Stage, options: ChaosOptions, progress: Progress) -> None:
        self.stage = stage
        self.options = options
        self.progress = progress
        self.result = ChaosResult(options)
        self.started_at = time.time()
        self.deployment = stage.deploy()
        self.driver = Driver(stage)
        self.student_api = self.deployment.student_api()
        self.actors = Actors(self.deployment, self.student_api, options)
        self.mail_history = MailHistory(self.deployment.mailbox)
        self.memory_before = self.driver.memory()
        self.began = time.monotonic()
        self.faults_ended_at = 0.0
        self.shown_at = 0.0

    def __enter__(self) -> Self:
        self.actors.__enter__()
        self.actors.start()
        self.mail_history.start()
        self.began = time.monotonic()
        return self

    def __exit__(self, *exception: object) -> None:
        self.actors.__exit__(*exception)

    def wait_a_little(self) -> None:
        self.driver.supervise()
        self.show()
        time.sleep(LOOK_EVERY)

    def show(self) -> None:
        """Show the progress, once every `SHOW_EVERY` seconds."""
        now = time.monotonic()
        if now < self.shown_at + SHOW_EVERY:
            return
        self.shown_at = now
        self.count_load()
        self.progress(now - self.began, self.result, self.driver.active)

    @property
    def seconds_left(self) -> float:
        """Seconds that the system still has to recover."""
        return max(0.0, self.faults_ended_at + self.options.recovery - time.monotonic())

    def is_idle(self) -> bool:
        """Whether neither side has work to do; false while a database is unavailable."""
        try:
            return is_idle(self.stage.place.database_urls)
        except NOT_READY:
            return False

    def inject_faults(self, plan: Sequence[Planned]) -> None:
        """Carry out the plan; then stop adding load."""
        self.driver.carry_out(plan, self.options.seconds, self.show)
        self.actors.close()
        self.faults_ended_at = time.monotonic()

    def recover(self) -> None:
        """End all faults, and let all actors finish."""
        try:
            self.driver.recover(self.options.recovery)
        except NotRecovered as error:
            self.result.problems.append(str(error))
        self.actors.finish(self.seconds_left)
        if self.options.repair:
            self.reconcile()

    def reconcile(self) -> None:
        """Repair what the broker lost, as an operator would."""
        try:
            printed = self.deployment.reconcile("--repair")
        except CommandFailed as error:
            self.result.problems.append(f"reconcile --repair: {error}")
            return
        shown = ("compared", "result", "differ")
        self.result.reconciled = [line for line in printed.splitlines() if line.startswith(shown)]

    def wait_until_idle(self) -> None:
        """Return when neither side has work to do, or when the time to recover is over."""
        while self.seconds_left and not self.is_idle():
            self.wait_a_little()
        self.mail_history.finish()

    def judge(self) -> None:
        """Check until the verdict is clean, or until idle for so long that it will not change."""
        idle_since = time.monotonic()
        while unclean := self.check():
            now = time.monotonic()
            if not self.is_idle():
                idle_since = now
            elif now - idle_since > self.options.patience:
                return
            if not self.seconds_left:
                within = f"{self.options.recovery:.0f} s"
                self.result.problems.append(f"not recovered within {within}: {unclean}")
                return
            self.wait_a_little()

    def check(self) -> str:
        """Update the verdict; returns why it is not clean, empty if it is."""
        in_doubt = self.driver.mails_in_doubt + self.stage.system.mail_mode.withheld
        try:
            evidence = gather(self.deployment, self.student_api, self.actors)
        except NOT_READY as error:
            return f"no answer: {error}"
        result = self.result
        result.verdict = verify(evidence, in_doubt, broker_loses=self.options.repair)
        result.mails_in_doubt, result.mails = in_doubt, len(evidence.mails)
        result.recovered_after = time.monotonic() - self.faults_ended_at
        return "" if result.verdict.is_clean else "the checker still finds something"

    def search(self) -> None:
        """Search all that was written for secrets, codes and addresses, and for erased persons.

        It takes a while, so not for a run that has findings without it.
        """
        if not self.result.is_clean:
            return
        try:
            hidden = leaks.hidden_in(self.deployment, self.actors.receivers.secrets)
            left = persons.found(self.deployment, *self.actors.texts_of_erased())
        except NOT_READY as error:
            self.result.problems.append(f"what may not leak is unknown: {error}")
            return
        verdict = self.result.verdict
        verdict.leaked = leaks.found(hidden, self.stage.written(self.started_at))
        verdict.leaked += [f"{where}: something of an erased person" for where in sorted(left)]

    def count(self) -> None:
        """Add the final counts, and findings about processes, to the result."""
        result, driver = self.result, self.driver
        self.count_load()
        result.restarts = driver.restarts
        result.problems += [f"unexpected exit: {name}" for name in driver.unexpected_exits]
        result.problems += grown(self.memory_before, driver.memory())
        missing = set(PROCESSES) - set(self.deployment.system.running())
        result.problems += [f"{name} is not running" for name in missing]
        result.problems += self.not_tried()

    def not_tried(self) -> list[str]:
        """What no actor did: a run without it proves nothing about it."""
        result, options = self.result, self.options
        tried = {
            "order": result.accepted or not options.rate,
            "sale through Stripe": result.sales or not (options.sales and options.changes),
            "forged event": result.forged or not (options.sales and options.changes),
            "webhook": result.webhooks or not options.changes,
            "erasure": result.erased or not (options.erasures and options.changes),
        }
        is_long = options.seconds >= LONG
        return [f"there was no {what}" for what, done in tried.items() if is_long and not done]

    def count_load(self) -> None:
        result, actors = self.result, self.actors
        result.requests = actors.requests
        result.accepted = len(actors.clients.accepted)
        result.cancelled = len(actors.clients.cancelled)
        result.redeemed = sum(map(len, actors.platforms.redeemed.copy().values()))
        result.replaced = sum(map(len, actors.operator.replaced.copy().values()))
        result.sales = len(actors.stripe.paid)
        result.forged = actors.stripe.refused
        result.webhooks = len(actors.receivers.received)
        result.erased = len(actors.erased)
        result.faults = self.driver.happened
        result.published = actors.third_parties.published.by_kind


def grown(before: dict[str, int], now: dict[str, int]) -> list[str]:
    """The processes that use much more memory than before."""
    return [
        f"memory of {name} grew from {before[name] >> 20} to {size >> 20} MiB"
        for name, size in now.items()
        if size > before[name] + MAX_GROWTH
    ]
