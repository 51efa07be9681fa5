"""One run: load, faults, mending, settling, checking."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException

import psycopg

from tests_integration.chaos.faults.driver import Driver, NotMended
from tests_integration.chaos.faults.plan import Planned
from tests_integration.chaos.load.customers import Customers
from tests_integration.chaos.load.readers import Readers
from tests_integration.chaos.load.strangers import Strangers
from tests_integration.chaos.stage.system import ChaosSystem
from tests_integration.chaos.verdict.checker import Verdict, verify
from tests_integration.chaos.verdict.evidence import Doors, gather, is_quiet
from tests_integration.harness.mailbox import Mailbox
from tests_integration.harness.payments import Payments
from tools.system.system import PROCESSES, CommandFailed

from .stage.stage import Stage

NOT_NOW = (OSError, HTTPException, AssertionError, psycopg.Error)
"""What looking at a system may raise that is not itself yet."""

GROWTH = 64 * 2**20
"""Bytes by which a process may be larger in the end than when it was warm."""


@dataclass(frozen=True)
class Options:
    seconds: float
    seed: int
    rate: float = 50.0
    """Orders a second."""
    sayings: float = 8.0
    """Things that strangers say on the broker a second."""
    settle: float = 120.0
    """Seconds that the system has, once all faults have ended."""
    patience: float = 10.0
    """Seconds of quiet after which what is still missing is lost."""
    repair: bool = False
    """Whether the broker may lose what it had confirmed; then both sides are reconciled."""


@dataclass
class Result:
    """All that a run's table shows."""

    options: Options
    faults: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    cancelled: int = 0
    tries: int = 0
    said: Counter[str] = field(default_factory=Counter)
    poison: int = 0
    mails: int = 0
    restarts: int = 0
    settled_after: float = 0.0
    verdict: Verdict = field(default_factory=Verdict)
    mails_in_doubt: int = 0
    repaired: list[str] = field(default_factory=list)
    """What `reconcile --repair` said."""
    trouble: list[str] = field(default_factory=list)
    """Processes that are not back, or grew."""

    @property
    def is_clean(self) -> bool:
        return self.verdict.is_clean and not self.trouble


Progress = Callable[[float, Result, Sequence[str]], None]
"""Shows how far it is: seconds since the load began, what was counted so far, what goes on."""


def run(
    stage: Stage, options: Options, plan: Sequence[Planned], progress: Progress = lambda *_: None
) -> Result:
    """Torment the system on `stage`, and see what is left."""
    result = Result(options)
    system = stage.system
    system.migrate()
    payments = Payments(system.payment_url, system.new_api_key())
    system.start(*PROCESSES)
    system.wait_ready()
    driver = Driver(stage)
    warm = driver.memory()
    doors = Doors(payments, Mailbox(system.mail_url), stage.database_urls)
    customers = Customers(payments, options.rate, options.seed)
    strangers = Strangers(stage.broker_url, system.backends.prefix, options.sayings, options.seed)
    began = time.monotonic()
    next_look = 0.0

    def look() -> None:
        nonlocal next_look
        if time.monotonic() < next_look:
            return
        next_look = time.monotonic() + 1.0
        result.accepted, result.faults = len(customers.accepted), driver.happened
        result.said = strangers.said.by_kind
        progress(time.monotonic() - began, result, driver.going_on)

    readers = Readers(doors.mailbox)
    readers.open()
    customers.open()
    if options.sayings:
        strangers.open()
    driver.carry_out(plan, options.seconds, look)
    customers.close()
    strangers.close()
    healed_at = time.monotonic()
    deadline = healed_at + options.settle
    try:
        driver.mend(options.settle)
    except NotMended as error:
        result.trouble.append(str(error))
    customers.finish(max(0.0, deadline - time.monotonic()))
    if options.sayings:
        strangers.finish(max(0.0, deadline - time.monotonic()))
    if options.repair:
        result.repaired = reconcile(system, result)

    quiet_since = 0.0
    while True:
        driver.supervise()
        look()
        now = time.monotonic()
        try:
            quiet = is_quiet(stage.database_urls)
            if quiet or now > deadline:
                quiet_since = quiet_since or now
                readers.finish()
                evidence = gather(
                    doors,
                    accepted={one: str(o.body["user_id"]) for one, o in customers.accepted.items()},
                    cancelled=customers.cancelled.copy(),
                    said=strangers.said,
                    wrong=customers.wrong,
                )
                result.mails_in_doubt = driver.mails_in_doubt + system.moods.withheld
                result.verdict = verify(
                    evidence, result.mails_in_doubt, broker_forgets=options.repair
                )
                result.mails = len(evidence.mails)
                result.settled_after = now - healed_at
                if (
                    result.verdict.is_clean
                    or now - quiet_since > options.patience
                    or now > deadline
                ):
                    if not quiet:
                        within = f"{options.settle:.0f} s"
                        result.trouble.append(f"not settled within {within}: it was still at work")
                    break
            else:
                quiet_since = 0.0
        except NOT_NOW as error:
            if now > deadline:
                result.trouble.append(f"it cannot be looked at: {error}")
                break
        time.sleep(0.2)

    result.accepted, result.tries = len(customers.accepted), customers.tries
    result.cancelled = len(customers.cancelled)
    result.faults, result.restarts = driver.happened, driver.restarts
    result.said = strangers.said.by_kind
    result.poison = sum(map(len, strangers.said.poison.values()))
    result.trouble += [f"ended by itself: {name}" for name in driver.ended_by_themselves]
    result.trouble += grown(warm, driver.memory())
    result.trouble += [f"{name} does not run" for name in set(PROCESSES) - set(system.running())]
    return result


def reconcile(system: ChaosSystem, result: Result) -> list[str]:
    """Let an operator bring both sides together; returns what is said of it."""
    try:
        said = system.manage("payment_service", "reconcile", "--repair", "--wait", "90")
    except CommandFailed as error:
        result.trouble.append(f"reconcile --repair: {error}")
        return []
    return [line for line in said.splitlines() if line.startswith(("compared", "result", "differ"))]


def grown(warm: dict[str, int], now: dict[str, int]) -> list[str]:
    """What holds much more memory than it did."""
    return [
        f"{name} has grown from {warm[name] >> 20} to {size >> 20} MiB"
        for name, size in now.items()
        if size > warm[name] + GROWTH
    ]
