"""Carries out a plan, restarts processes that die, and ends all faults."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress

import psutil
import psycopg

from tests_integration.chaos.stage.crash_points import CRASH_POINTS
from tests_integration.chaos.stage.mail_server import Mode
from tests_integration.chaos.stage.stage import Stage
from tools.servers.rabbitmq_node import CtlFailed
from tools.system.process import NotReady
from tools.system.system import PROCESSES

from .catalogue import FAULTS, DidNotHappen, end_alarms
from .plan import Planned

KILLED = -9
LOOK_EVERY = 0.05
RESTART_AFTER = 0.5
"""Seconds that a process stays down."""


class NotRecovered(Exception):
    """A server or a process did not come back in time after the last fault."""


class Driver:
    """Carries out one plan on one stage, in the main thread: child processes end with theirs."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._died_at: dict[str, float] = {}
        self._active: dict[Planned, ExitStack] = {}
        """The faults that have begun, and what ends each."""
        self.happened: Counter[str] = Counter()
        """Faults by kind, without the crash points that no process reached."""
        self.mails_in_doubt = 0
        self.unexpected_exits: list[str] = []
        self.restarts = 0

    @property
    def active(self) -> list[str]:
        return [f"{planned.fault} {planned.target}" for planned in self._active]

    def carry_out(self, plan: Sequence[Planned], seconds: float, tick: Callable[[], None]) -> None:
        """Begin and end each fault at its time, for `seconds`; call `tick` again and again."""
        began = time.monotonic()
        upcoming = list(plan)
        while (now := time.monotonic() - began) < seconds or upcoming or self._active:
            for planned in [planned for planned in self._active if planned.until <= now]:
                self._end(planned)
            while upcoming and upcoming[0].at <= now:
                self._begin(upcoming.pop(0))
            self.supervise()
            tick()
            time.sleep(LOOK_EVERY)

    def supervise(self) -> None:
        """Restart processes that died more than a moment ago."""
        now = time.monotonic()
        for process in self._stage.system.ended():
            died_at = self._died_at.setdefault(process.name, now)
            if now - died_at >= RESTART_AFTER:
                if process.exit_code != KILLED:
                    self.unexpected_exits.append(f"{process.name} ({process.exit_code})")
                del self._died_at[process.name]
                self._stage.system.start(process.name)
                self.restarts += 1

    def recover(self, seconds: float) -> None:
        """End every fault, and wait until everything is ready. Raises `NotRecovered`."""
        deadline = time.monotonic() + seconds
        for planned in list(self._active):
            self._end(planned)
        self._stage.system.mail_mode.switch_to(Mode.NORMAL)
        servers = self._stage.servers
        try:
            if servers is not None:
                servers.node.wait_ready(max(1.0, deadline - time.monotonic()))
                servers.cluster.wait_ready(max(1.0, deadline - time.monotonic()))
                end_alarms(servers)
                servers.broker.open()
                servers.databases.open()
        except (NotReady, CtlFailed) as error:
            raise NotRecovered(str(error)) from None
        while missing := self._missing():
            if time.monotonic() > deadline:
                raise NotRecovered(f"not ready within {seconds:.0f} s: {', '.join(missing)}")
            self.supervise()
            time.sleep(LOOK_EVERY)

    def memory(self) -> dict[str, int]:
        """The resident set size of each process, in bytes."""
        sizes: dict[str, int] = {}
        for name in PROCESSES:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(self._stage.system.process(name).pid)
                sizes[name] = process.memory_info().rss
        return sizes

    def _missing(self) -> list[str]:
        missing = []
        for name in PROCESSES:
            try:
                if not self._stage.system.process(name).is_ready():
                    missing.append(name)
            except NotReady:
                missing.append(name)
        return missing

    def _begin(self, planned: Planned) -> None:
        name = planned.target.partition(":")[0]
        if name in PROCESSES and name not in self._stage.system.running():
            return  # it is already down
        servers = self._stage.servers
        if planned.target == "broker" and servers is not None and not servers.node.is_up:
            return  # it is still restarting
        fault = ExitStack()
        try:
            fault.enter_context(FAULTS[planned.fault].inject(self._stage, planned.target))
        except (psycopg.OperationalError, sqlite3.OperationalError):
            return  # the database is still restarting, or a frozen process holds its lock
        self._active[planned] = fault

    def _end(self, planned: Planned) -> None:
        try:
            with suppress(CtlFailed):  # `recover` ends what this leaves behind
                self._active.pop(planned).close()
        except DidNotHappen:
            return
        self.happened[self._name(planned)] += 1
        self.mails_in_doubt += FAULTS[planned.fault].doubles_mails(planned.target)

    @staticmethod
    def _name(planned: Planned) -> str:
        point = planned.target.partition(":")[2]
        return f"kill -9 {CRASH_POINTS[point].title}" if point else FAULTS[planned.fault].title
