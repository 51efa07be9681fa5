"""One run: prepare the system, inject faults under load, wait until it is quiet, judge."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException

import psycopg

from tests_integration.chaos.faults.driver import Driver, NotMended
from tests_integration.chaos.faults.plan import Planned
from tests_integration.chaos.load.clients import Clients
from tests_integration.chaos.load.mail_history import MailHistory
from tests_integration.chaos.load.third_parties import ThirdParties
from tests_integration.chaos.stage.stage import Stage
from tests_integration.chaos.verdict.checker import verify
from tests_integration.chaos.verdict.evidence import Sources, gather, is_quiet
from tests_integration.harness.deployment import Deployment
from tools.system.system import PROCESSES, CommandFailed

from .result import Options, Progress, Result

NOT_NOW = (OSError, HTTPException, AssertionError, psycopg.Error)
"""What looking at a system may raise that has not recovered yet."""

GROWTH = 64 * 2**20
"""Bytes by which a process may be larger in the end than when it was warm."""

LOOK_EVERY = 0.2
SHOW_EVERY = 1.0


def run(
    stage: Stage, options: Options, plan: Sequence[Planned], progress: Progress = lambda *_: None
) -> Result:
    """Do all of `plan` to the system on `stage` while it is used; returns what is left of it."""
    running = prepare(stage, options, progress)
    inject_faults(running, plan)
    recover(running)
    wait_until_quiet(running)
    judge(running)
    count(running)
    return running.result


@dataclass
class Running:
    """The parts of a run that goes on."""

    stage: Stage
    options: Options
    progress: Progress
    result: Result
    deployment: Deployment
    driver: Driver
    clients: Clients
    third_parties: ThirdParties
    mail_history: MailHistory
    warm: dict[str, int]
    """Bytes that each process held before the load."""
    began: float
    healed: float = 0.0
    """When the last fault had ended."""
    shown: float = 0.0

    def watch(self) -> None:
        """Start again what has died, and show how far the run is, once a second."""
        self.driver.supervise()
        self.show()
        time.sleep(LOOK_EVERY)

    def show(self) -> None:
        """Show how far the run is, unless that was a moment ago."""
        now = time.monotonic()
        if now < self.shown + SHOW_EVERY:
            return
        self.shown = now
        count_load(self)
        self.progress(now - self.began, self.result, self.driver.present)

    @property
    def seconds_left(self) -> float:
        """Seconds that the system has left to recover; 0 when they are over."""
        return max(0.0, self.healed + self.options.recovery - time.monotonic())

    def is_quiet(self) -> bool:
        """Whether nothing waits on either side, as far as the databases can be asked."""
        try:
            return is_quiet(self.stage.database_urls)
        except NOT_NOW:
            return False


def prepare(stage: Stage, options: Options, progress: Progress) -> Running:
    """Start the system, then its users."""
    deployment = stage.deploy()
    driver = Driver(stage)
    running = Running(
        stage=stage,
        options=options,
        progress=progress,
        result=Result(options),
        deployment=deployment,
        driver=driver,
        clients=Clients(deployment.payments, options.rate, options.seed),
        third_parties=ThirdParties(
            stage.place.wire_url,
            stage.place.backends.prefix,
            options.third_party_rate,
            options.seed,
        ),
        mail_history=MailHistory(deployment.mailbox),
        warm=driver.memory(),
        began=time.monotonic(),
    )
    running.mail_history.open()
    running.clients.open()
    running.third_parties.open()
    return running


def inject_faults(running: Running, plan: Sequence[Planned]) -> None:
    """Carry out the plan; then nobody begins anything new."""
    running.driver.carry_out(plan, running.options.seconds, running.show)
    running.clients.close()
    running.third_parties.close()
    running.healed = time.monotonic()


def recover(running: Running) -> None:
    """End all faults, and let everybody finish what they have in hand."""
    try:
        running.driver.mend(running.options.recovery)
    except NotMended as error:
        running.result.trouble.append(str(error))
    running.clients.finish(running.seconds_left)
    running.third_parties.finish(running.seconds_left)
    if running.options.repair:
        reconcile(running)


def reconcile(running: Running) -> None:
    """Let an operator bring both sides together."""
    try:
        printed = running.deployment.reconcile("--repair")
    except CommandFailed as error:
        running.result.trouble.append(f"reconcile --repair: {error}")
        return
    running.result.repaired = [
        line for line in printed.splitlines() if line.startswith(("compared", "result", "differ"))
    ]


def wait_until_quiet(running: Running) -> None:
    """Returns when nothing waits on either side, or when the time is over."""
    while running.seconds_left and not running.is_quiet():
        running.watch()
    running.mail_history.finish()


def judge(running: Running) -> None:
    """Check until all is well, or nothing has moved for so long that nothing more will come."""
    quiet_since = time.monotonic()
    while complaint := check(running):
        now = time.monotonic()
        if not running.is_quiet():
            quiet_since = now
        elif now - quiet_since > running.options.patience:
            return
        if not running.seconds_left:
            within = f"{running.options.recovery:.0f} s"
            running.result.trouble.append(f"not recovered within {within}: {complaint}")
            return
        running.watch()


def check(running: Running) -> str:
    """Compare all that is known, for the result; returns why that is not the last word, if so."""
    clients, published = running.clients, running.third_parties.published
    sources = Sources(
        running.deployment.payments, running.deployment.mailbox, running.stage.database_urls
    )
    in_doubt = running.driver.mails_in_doubt + running.stage.system.mail_mode.withheld
    try:
        evidence = gather(
            sources,
            accepted={id_: str(order.body["user_id"]) for id_, order in clients.accepted.items()},
            cancelled=clients.cancelled.copy(),
            published=published,
            wrong=clients.wrong,
        )
    except NOT_NOW as error:
        return f"it cannot be looked at: {error}"
    result = running.result
    result.verdict = verify(evidence, in_doubt, broker_forgets=running.options.repair)
    result.mails_in_doubt, result.mails = in_doubt, len(evidence.mails)
    result.recovered_after = time.monotonic() - running.healed
    return "" if result.verdict.is_clean else "something is wrong"


def count(running: Running) -> None:
    """What remains to be counted at the end."""
    result, driver = running.result, running.driver
    count_load(running)
    result.restarts = driver.restarts
    result.trouble += [f"ended by itself: {name}" for name in driver.ended_by_themselves]
    result.trouble += grown(running.warm, driver.memory())
    missing = set(PROCESSES) - set(running.deployment.system.running())
    result.trouble += [f"{name} does not run" for name in missing]


def count_load(running: Running) -> None:
    """The counts so far."""
    result, clients = running.result, running.clients
    result.accepted, result.requests = len(clients.accepted), clients.requests
    result.cancelled = len(clients.cancelled)
    result.faults = running.driver.happened
    result.published = running.third_parties.published.by_kind


def grown(warm: dict[str, int], now: dict[str, int]) -> list[str]:
    """What holds much more memory than it did."""
    return [
        f"{name} has grown from {warm[name] >> 20} to {size >> 20} MiB"
        for name, size in now.items()
        if size > warm[name] + GROWTH
    ]
