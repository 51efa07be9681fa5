"""Every process says whether it works; what the broker does to it is noticed and mended."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests_integration.harness.eventually import eventually
from tests_integration.harness.gate import Gate
from tests_integration.harness.payments import Payments, order
from tools import rest
from tools.servers.found import NotHere
from tools.servers.rabbitmq_node import Node
from tools.system.commands import Command
from tools.system.ports import LOCAL, free_port
from tools.system.system import PROCESSES, Backends, System

WITH_HEALTH_PORT = tuple(
    name for name in PROCESSES if name.endswith(("relay", "consumer", "tasks"))
)
NOTICED = MENDED = 30.0
"""Seconds: what is promised."""


class Watched(System):
    """A system whose processes each have a health port."""

    def __init__(self, folder: Path, backends: Backends) -> None:
        super().__init__(folder, backends)
        self.health = {name: free_port() for name in WITH_HEALTH_PORT}

    def command(self, name: str) -> Command:
        how = super().command(name)
        port = {"HEALTH_PORT": str(self.health[name])} if name in self.health else {}
        return replace(how, environment={**how.environment, **port})

    def restart(self, name: str) -> None:
        self.stop(name)
        self.start(name)
        self.wait_ready(name)

    def get(self, name: str, path: str) -> tuple[int, dict[str, Any]]:
        """The status and the answer of a process."""
        answer = rest.call("GET", f"http://{LOCAL}:{self.health[name]}{path}")
        return answer.status, answer.body

    def lacks(self, name: str) -> str:
        """Why a process is not ready; empty if it is."""
        status, answer = self.get(name, "/health/ready")
        assert self.get(name, "/health/live")[0] == 200
        assert (status == 200) == (answer["reasons"] == [])
        return "; ".join(answer["reasons"])

    def wait_until_all_work(self) -> None:
        for name in WITH_HEALTH_PORT:
            eventually(partial(self.lacks, name), lambda reason: not reason, within=2 * MENDED)


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A broker of our own, which may be harmed."""
    with ExitStack() as stack:
        try:
            yield Node(stack)
        except NotHere as reason:
            pytest.skip(str(reason))


@pytest.fixture(scope="module")
def gate(node: Node) -> Iterator[Gate]:
    with Gate(node.url) as gate:
        yield gate


@pytest.fixture(scope="module")
def system(node: Node, gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    backends = replace(
        Backends.embedded(folder), broker_url=gate.way_to(node.url), celery_broker_url=""
    )
    with Watched(folder, backends) as system:
        system.migrate()
        system.start(*PROCESSES)
        system.wait_ready(timeout=90)
        yield system


@pytest.fixture
def payments(system: Watched) -> Payments:
    system.wait_until_all_work()
    return Payments(system.payment_url, system.new_api_key())


def test_every_process_of_a_working_system_is_ready(system: Watched, payments: Payments) -> None:
    assert {name: system.lacks(name) for name in WITH_HEALTH_PORT} == dict.fromkeys(
        WITH_HEALTH_PORT, ""
    )


def test_a_consumer_whose_channel_the_broker_has_closed_consumes_again(
    system: Watched, payments: Payments, node: Node
) -> None:
    """As an expired `consumer_timeout` does: the channel is closed, the connection is not."""
    inbox = "student_service.inbox"
    node.ctl("eval", "application:set_env(rabbit, channel_tick_interval, 500).")
    node.ctl("eval", "application:set_env(rabbit, consumer_timeout, 1000).")
    system.restart("student-consumer")  # for a channel that knows these settings
    system.process("student-consumer").signal(signal.SIGSTOP)
    subscription = payments.subscribe(order())
    eventually(lambda: queue(node, inbox), lambda now: now == Queue(ready=0, unacked=1))
    eventually(lambda: queue(node, inbox), lambda now: now == Queue(ready=1, unacked=0))
    node.ctl("eval", "application:set_env(rabbit, consumer_timeout, 1800000).")
    system.process("student-consumer").signal(signal.SIGCONT)

    eventually(lambda: payments.show(subscription.id).access_code, within=MENDED)
    eventually(lambda: system.lacks("student-consumer"), lambda reason: not reason, within=MENDED)
    assert "has timed out waiting for" in "".join(
        path.read_text(errors="replace") for path in node.folder.glob("*.log")
    )


def test_a_broker_alarm_is_reported_and_events_go_out_after_it(
    system: Watched, payments: Payments, node: Node
) -> None:
    node.ctl("set_vm_memory_high_watermark", "0.000001")
    subscription = payments.subscribe(order())

    eventually(lambda: "alarm" in system.lacks("payment-relay"), within=NOTICED)
    node.ctl("set_vm_memory_high_watermark", "0.4")
    eventually(lambda: payments.show(subscription.id).access_code, within=MENDED)
    eventually(lambda: system.lacks("payment-relay"), lambda reason: not reason, within=MENDED)


def test_half_open_connections_are_noticed_by_every_process_and_mended(
    system: Watched, payments: Payments, gate: Gate
) -> None:
    gate.silence()
    for name in WITH_HEALTH_PORT:
        eventually(partial(system.lacks, name), within=NOTICED)
    gate.open()

    subscription = payments.subscribe(order())
    system.wait_until_all_work()
    eventually(lambda: payments.show(subscription.id).access_code, within=MENDED)


def test_a_worker_whose_beat_has_died_is_not_ready(system: Watched, payments: Payments) -> None:
    """It is alive and connected, but nothing tells it to look at its rows."""
    worker = system.process("student-tasks").pid
    [beat] = [
        int(pid) for pid in (Path("/proc") / f"{worker}/task/{worker}/children").read_text().split()
    ]
    os.kill(beat, signal.SIGKILL)

    try:
        eventually(lambda: "does beat run?" in system.lacks("student-tasks"), within=120)
    finally:
        system.restart("student-tasks")


@dataclass(frozen=True)
class Queue:
    """How many messages of a queue are where."""

    ready: int
    unacked: int


def queue(node: Node, name: str) -> Queue | None:
    """None until the node knows it."""
    columns = ("messages_ready", "messages_unacknowledged")
    for line in node.ctl("list_queues", "name", *columns).splitlines():
        queue_name, *numbers = line.split()
        if queue_name == name:
            return Queue(*map(int, numbers))
    return None
