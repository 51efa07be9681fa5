"""Carries out a plan, starts again what has died, and mends everything in the end."""

from __future__ import annotations

import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psycopg

from tests_integration.chaos.stage.crash_points import CRASH_POINTS
from tests_integration.chaos.stage.mail_server import Mode
from tests_integration.chaos.stage.stage import Stage
from tools.servers.rabbitmq_node import CtlFailed
from tools.system.process import NotReady
from tools.system.system import PROCESSES

from .actions import end_alarms
from .catalogue import FAULTS
from .plan import Planned

KILLED = -9
LOOK_EVERY = 0.05
BACK_AFTER = 0.5
"""Seconds after which a supervisor starts again what has died."""


class NotMended(Exception):
    """Something did not come back in time after the last fault."""


class Driver:
    """Does one plan to one stage. From the main thread: processes are its children."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._died_at: dict[str, float] = {}
        self._present: list[Planned] = []
        self.happened: Counter[str] = Counter()
        """Faults by kind; a crash point that nobody came to is none."""
        self.mails_in_doubt = 0
        self.ended_by_themselves: list[str] = []
        self.restarts = 0

    @property
    def present(self) -> list[str]:
        """The faults that last, in a few words."""
        return [f"{planned.fault} {planned.target}" for planned in self._present]

    def carry_out(self, plan: Sequence[Planned], seconds: float, tick: Callable[[], None]) -> None:
        """Begin and end each fault at its time, for `seconds`; `tick` is called all the while."""
        began = time.monotonic()
        coming = list(plan)
        while (now := time.monotonic() - began) < seconds or coming or self._present:
            for planned in [planned for planned in self._present if planned.until <= now]:
                self._end(planned)
            while coming and coming[0].at <= now:
                self._begin(coming.pop(0))
            self.supervise()
            tick()
            time.sleep(LOOK_EVERY)

    def supervise(self) -> None:
        """Start again what has died a moment ago."""
        now = time.monotonic()
        for process in self._stage.system.ended():
            died_at = self._died_at.setdefault(process.name, now)
            if now - died_at >= BACK_AFTER:
                if process.exit_code != KILLED:
                    self.ended_by_themselves.append(f"{process.name} ({process.exit_code})")
                del self._died_at[process.name]
                self._stage.system.start(process.name)
                self.restarts += 1

    def mend(self, seconds: float) -> None:
        """End every fault, and wait until all is back. Raises `NotMended`."""
        deadline = time.monotonic() + seconds
        for planned in list(self._present):
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
            raise NotMended(str(error)) from None
        while missing := self._missing():
            if time.monotonic() > deadline:
                raise NotMended(f"not back within {seconds:.0f} s: {', '.join(missing)}")
            self.supervise()
            time.sleep(LOOK_EVERY)

    def memory(self) -> dict[str, int]:
        """Bytes that each process holds now (VmRSS)."""
        sizes: dict[str, int] = {}
        for name in PROCESSES:
            with suppress(FileNotFoundError, ProcessLookupError):
                status = Path(f"/proc/{self._stage.system.process(name).pid}/status").read_text()
                kilobytes = re.search(r"VmRSS:\s*(\d+)", status)
                sizes[name] = int(kilobytes[1]) * 1024 if kilobytes else 0
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
        fault = FAULTS[planned.fault]
        name = planned.target.partition(":")[0]
        if name in PROCESSES and name not in self._stage.system.running():
            return  # it is down already
        servers = self._stage.servers
        if planned.target == "broker" and servers is not None and not servers.node.is_up:
            return  # it is still coming back from the last one
        try:
            fault.begin(self._stage, planned.target)
        except (psycopg.OperationalError, sqlite3.OperationalError):
            return  # so is the database, or somebody who is frozen holds it
        self._present.append(planned)

    def _end(self, planned: Planned) -> None:
        self._present.remove(planned)
        fault = FAULTS[planned.fault]
        try:
            happened = fault.end(self._stage, planned.target)
        except CtlFailed:  # what is left of it is for `mend`
            happened = True
        if happened:
            self.happened[self._name(planned)] += 1
            self.mails_in_doubt += fault.doubles_mails(planned.target)

    @staticmethod
    def _name(planned: Planned) -> str:
        point = planned.target.partition(":")[2]
        return f"kill -9 {CRASH_POINTS[point].title}" if point else FAULTS[planned.fault].title
