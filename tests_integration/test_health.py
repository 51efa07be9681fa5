"""Every process reports its health, and recovers from trouble with the broker."""

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

from tests_integration.harness.payments import Payments, order
from tools import rest
from tools.servers.rabbitmq_node import Node
from tools.system.commands import ProcessCommand
from tools.system.eventually import eventually
from tools.system.gate import Gate
from tools.system.ports import LOCAL, free_port
from tools.system.system import PROCESSES, Backends, System

WITH_HEALTH_PORT = tuple(
    name for name in PROCESSES if name.endswith(("relay", "consumer", "tasks"))
)
DETECTED = RECOVERED = 30.0
"""Seconds, as promised in docs/guarantees.md."""


class Watched(System):
    """A system whose processes have health ports."""

    def __init__(self, folder: Path, backends: Backends) -> None:
        super().__init__(folder, backends)
        self.health = {name: free_port() for name in WITH_HEALTH_PORT}

    def command(self, name: str) -> ProcessCommand:
        how = super().command(name)
        port = {"HEALTH_PORT": str(self.health[name])} if name in self.health else {}
        return replace(how, environment={**how.environment, **port})

    def restart(self, name: str) -> None:
        self.stop(name)
        self.start(name)
        self.wait_ready(name)

    def get(self, name: str, path: str) -> tuple[int, dict[str, Any]]:
        answer = rest.call("GET", f"http://{LOCAL}:{self.health[name]}{path}")
        return answer.status, answer.body

    def why_not_ready(self, name: str) -> str:
        """Empty if it is ready."""
        status, answer = self.get(name, "/health/ready")
        assert self.get(name, "/health/live")[0] == 200
        assert (status == 200) == (answer["reasons"] == [])
        return "; ".join(answer["reasons"])

    def wait_until_all_ready(self) -> None:
        for name in WITH_HEALTH_PORT:
            eventually(
                partial(self.why_not_ready, name), lambda reason: not reason, within=2 * RECOVERED
            )


@pytest.fixture(scope="module")
def node(installed_rabbitmq: None) -> Iterator[Node]:
    """A private broker."""
    with ExitStack() as stack:
        yield Node(stack)


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
    system.wait_until_all_ready()
    return Payments(system.payment_url, system.new_api_key())


def test_every_process_of_a_working_system_is_ready(system: Watched, payments: Payments) -> None:
    assert {name: system.why_not_ready(name) for name in WITH_HEALTH_PORT} == dict.fromkeys(
        WITH_HEALTH_PORT, ""
    )


def test_a_consumer_whose_channel_the_broker_closed_consumes_again(
    system: Watched, payments: Payments, node: Node
) -> None:
    """An expired `consumer_timeout` closes the channel, but not the connection."""
    inbox = "student_service.inbox"
    node.ctl("eval", "application:set_env(rabbit, channel_tick_interval, 500).")
    node.ctl("eval", "application:set_env(rabbit, consumer_timeout, 1000).")
    system.restart("student-consumer")  # to open a channel with these settings
    system.process("student-consumer").signal(signal.SIGSTOP)
    subscription = payments.subscribe(order())
    eventually(lambda: queue(node, inbox), lambda now: now == Queue(ready=0, unacked=1))
    eventually(lambda: queue(node, inbox), lambda now: now == Queue(ready=1, unacked=0))
    node.ctl("eval", "application:set_env(rabbit, consumer_timeout, 1800000).")
    system.process("student-consumer").signal(signal.SIGCONT)

    eventually(lambda: payments.show(subscription.id).access_code, within=RECOVERED)
    eventually(
        lambda: system.why_not_ready("student-consumer"),
        lambda reason: not reason,
        within=RECOVERED,
    )
    assert "has timed out waiting for" in "".join(
        path.read_text(errors="replace") for path in node.folder.glob("*.log")
    )


def test_a_broker_alarm_is_reported_and_events_are_published_after_it(
    system: Watched, payments: Payments, node: Node
) -> None:
    node.ctl("set_vm_memory_high_watermark", "0.000001")
    subscription = payments.subscribe(order())

    eventually(lambda: "alarm" in system.why_not_ready("payment-relay"), within=DETECTED)
    node.ctl("set_vm_memory_high_watermark", "0.4")
    eventually(lambda: payments.show(subscription.id).access_code, within=RECOVERED)
    eventually(
        lambda: system.why_not_ready("payment-relay"), lambda reason: not reason, within=RECOVERED
    )


def test_every_process_detects_half_open_connections_and_recovers(
    system: Watched, payments: Payments, gate: Gate
) -> None:
    gate.silence()
    for name in WITH_HEALTH_PORT:
        eventually(partial(system.why_not_ready, name), within=DETECTED)
    gate.open()

    subscription = payments.subscribe(order())
    system.wait_until_all_ready()
    eventually(lambda: payments.show(subscription.id).access_code, within=RECOVERED)


def test_a_worker_whose_beat_has_died_is_not_ready(system: Watched, payments: Payments) -> None:
    """It is alive and connected, but nothing wakes it to do its work."""
    worker = system.process("student-tasks").pid
    [beat] = [
        int(pid) for pid in (Path("/proc") / f"{worker}/task/{worker}/children").read_text().split()
    ]
    os.kill(beat, signal.SIGKILL)

    try:
        eventually(lambda: "is beat running?" in system.why_not_ready("student-tasks"), within=120)
    finally:
        system.restart("student-tasks")


@dataclass(frozen=True)
class Queue:
    ready: int
    unacked: int


def queue(node: Node, name: str) -> Queue | None:
    """None if the queue does not exist."""
    columns = ("messages_ready", "messages_unacknowledged")
    for line in node.ctl("list_queues", "name", *columns).splitlines():
        queue_name, *numbers = line.split()
        if queue_name == name:
            return Queue(*map(int, numbers))
    return None
