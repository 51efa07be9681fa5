"""Runs a contender through a kill at each crash point, a killed broker and a failing handler."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .contender import BROKER, CONSUMER, CRASH_POINTS, Contender
from .stage import LOOK_EVERY, ContenderStage

QUIET = 8.0
"""Seconds without a change after which what is missing counts as lost."""
CALM = 2.0
"""Seconds without a change after which the next point begins, if nothing is missing."""
AT_MOST = 75.0
"""Seconds that a contender has to become idle after a point."""
BROKER_KILLS = 2
AT_REST = 1.0
"""Seconds that messages stay in the queue before the broker is killed."""
WITHOUT_BROKER = 4.0
"""The maximum number of seconds that orders are paid without a broker."""
POISONED, HEALTHY = 5, 20


@dataclass(frozen=True)
class Cost:
    """The orders committed at a point, and how many of them were lost or doubled."""

    paid: int
    lost: int
    doubled: int
    kills: int


@dataclass
class ContenderResult:
    """The result of one contender; `error` says why it could not be run."""

    contender: Contender
    lines: int
    costs: dict[str, Cost] = field(default_factory=dict)
    seen: int = 0
    passed: int = 0
    replayed: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    broker: str = ""
    """The version of RabbitMQ."""
    error: str = ""


class Performance:
    """Runs every point on one stage, and counts at the end, as messages may arrive late."""

    def __init__(
        self,
        stage: ContenderStage,
        outcome: ContenderResult,
        messages: int,
        kills: int,
        say: Callable[[str], None],
    ) -> None:
        self._stage = stage
        self._outcome = outcome
        self._messages = messages
        self._kills = kills
        self._say = say
        self._next = 1

    def run(self) -> None:
        orders, kills = {}, {}
        for point in CRASH_POINTS:
            self._say(point)
            first = self._next
            kills[point] = self._broker_point() if point == BROKER else self._crash_point(point)
            orders[point] = range(first, self._next)
        self._say("a handler that fails")
        self._failing_handler()
        codes = self._stage.codes()
        for point in CRASH_POINTS:
            paid = self._stage.paid(orders[point])
            self._outcome.costs[point] = Cost(
                paid=len(paid),
                lost=sum(not codes[order] for order in paid),
                doubled=sum(codes[order] > 1 for order in paid),
                kills=kills[point],
            )

    def _crash_point(self, point: str) -> int:
        self._stage.perform(self._stage.contender.kills[point])
        deaths = 0
        all_orders: list[int] = []
        for orders in self._rounds(self._kills):
            self._stage.arm()
            self._stage.pay(orders)
            deaths += self._stage.sprung(20)
            self._stage.supervise()
            all_orders += orders
        self._wait_until_idle(range(all_orders[0], all_orders[-1] + 1))
        return deaths

    def _broker_point(self) -> int:
        stage = self._stage
        stage.perform(None)
        all_orders: list[int] = []
        for _ in range(BROKER_KILLS):
            # Without a consumer, so that messages are in the queue when the broker is killed.
            stage.stop(CONSUMER)
            half = self._messages // BROKER_KILLS // 2
            before, during = self._take(half), self._take(half)
            stage.pay(before)
            self._wait(lambda: stage.queue()[0] >= half, 15)  # noqa: B023 - called at once
            time.sleep(AT_REST)
            stage.node.kill()
            payer = stage.start_paying(during)
            self._wait(lambda: payer.exit_code is not None, WITHOUT_BROKER)  # noqa: B023 - called at once
            stage.node.start()
            stage.node.wait_ready()
            payer.wait_or_kill(60)
            stage.supervise()
            stage.wait_for_consumer()
            all_orders += [*before, *during]
        self._wait_until_idle(range(all_orders[0], all_orders[-1] + 1))
        return BROKER_KILLS

    def _wait(self, until: Callable[[], bool], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not until() and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY)

    def _failing_handler(self) -> None:
        stage, failed = self._stage, self._stage.contender.failed
        stage.perform(None)
        poisoned, healthy = self._take(POISONED), self._take(HEALTHY)
        before = self._seen()
        stage.poison(poisoned)
        stage.pay(poisoned)
        stage.pay(healthy)
        self._wait_until_idle(range(poisoned[0], healthy[-1] + 1))
        self._outcome.seen = self._seen() - before
        self._outcome.passed = sum(bool(stage.codes()[order]) for order in healthy)
        stage.poison(())
        if failed.command:
            stage.run(failed.command)
        elif failed.queue:
            self._shovel(failed.queue)
        self._wait_until_idle(poisoned)
        self._outcome.replayed = sum(bool(stage.codes()[order]) for order in poisoned)

    def _seen(self) -> int:
        failed = self._stage.contender.failed
        if failed.table:
            return int(self._stage.query("access", failed.table)[0][0])
        return self._stage.queue(failed.queue)[0] if failed.queue else 0

    def _shovel(self, dead: str) -> None:
        there_and_back = {
            "src-uri": "amqp://", "src-queue": dead, "src-delete-after": "queue-length",
            "dest-uri": "amqp://", "dest-queue": self._stage.contender.queue,
        }  # fmt: skip
        self._stage.node.ctl("set_parameter", "shovel", "replay", json.dumps(there_and_back))

    def _wait_until_idle(self, orders: range) -> None:
        stage = self._stage
        deadline = time.monotonic() + AT_MOST
        last, since = None, time.monotonic()
        while time.monotonic() < deadline:
            stage.supervise()
            codes = stage.codes()
            waiting, consumers = stage.queue()
            now = (codes.total(), waiting, stage.pending(), consumers)
            if now != last:
                last, since = now, time.monotonic()
            idle = consumers and not waiting and not stage.pending()
            missing = any(not codes[order] for order in stage.paid(orders))
            if idle and time.monotonic() - since > (QUIET if missing else CALM):
                return
            time.sleep(LOOK_EVERY)

    def _rounds(self, count: int) -> Iterator[range]:
        for _ in range(count):
            yield self._take(self._messages // count)

    def _take(self, count: int) -> range:
        self._next += count
        return range(self._next - count, self._next)
