"""Every process stops on SIGTERM, and ends with the process that started it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from tests_integration.chaos.stage.crash_points import MAILS_AT_ONCE
from tests_integration.harness.accounts import second_mails
from tests_integration.harness.deployment import Deployment, deployed
from tests_integration.harness.kinds import on_servers
from tests_integration.harness.payments import Payments, order
from tests_integration.harness.places import Place
from tools.system.eventually import eventually
from tools.system.process_tree import descendants
from tools.system.process_tree import running as still_running
from tools.system.system import PROCESSES

ROOT = Path(__file__).parent.parent
IDLE, BUSY = 8.0, 20.0
"""Seconds within which a process must stop; 10 are promised on a machine that is free."""

CLEAN_EXITS = dict.fromkeys(PROCESSES, 0)


def stop_all(deployment: Deployment) -> dict[str, int]:
    """Stop all processes at the same time; returns their exit codes. Raises `TimeoutError`."""
    processes = [deployment.system.process(name) for name in PROCESSES]
    for process in processes:
        process.signal(signal.SIGTERM)
    deadline = time.monotonic() + BUSY
    return {process.name: process.wait(deadline - time.monotonic()) for process in processes}


def test_every_idle_process_stops_at_once(deployment: Deployment) -> None:
    assert {name: deployment.system.stop(name, IDLE) for name in PROCESSES} == CLEAN_EXITS


def test_a_stop_during_work_causes_no_duplicate_mail(
    deployment: Deployment,
) -> None:
    posted = deployment.subscribe(order() for _ in range(60))

    codes = stop_all(deployment)
    deployment.start()
    accounts = deployment.accounts(posted)

    assert codes == CLEAN_EXITS
    assert {len(account.codes) for account in accounts} == {1}
    assert {len(account.mails) for account in accounts} == {1}


@on_servers
@pytest.mark.parametrize("trouble", ["close", "silence"])
def test_every_process_stops_while_the_broker_is_unavailable(
    deployment: Deployment, trouble: str
) -> None:
    assert deployment.place.broker is not None
    getattr(deployment.place.broker, trouble)()
    posted = deployment.subscribe(order() for _ in range(10))

    codes = stop_all(deployment)
    deployment.reset()
    accounts = deployment.accounts(posted)

    assert codes == CLEAN_EXITS
    assert {len(account.codes) for account in accounts} == {1}
    assert {len(account.mails) for account in accounts} == {1}


@on_servers
@pytest.mark.parametrize("trouble", ["close", "silence"])
def test_every_process_stops_while_the_databases_are_unavailable(
    deployment: Deployment, trouble: str
) -> None:
    assert deployment.place.databases is not None
    getattr(deployment.place.databases, trouble)()

    assert stop_all(deployment) == CLEAN_EXITS


@contextmanager
def runner(place: Place) -> Iterator[tuple[subprocess.Popen[str], Payments, str]]:
    """Another process that runs the system at this place."""
    command = [sys.executable, "-m", "tests_integration.harness.runner"]
    backends = json.dumps(asdict(place.backends))
    with (
        subprocess.Popen(
            [*command, str(place.folder), backends], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as running,
        ExitStack() as stack,
    ):
        stack.callback(running.kill)
        assert running.stdout is not None
        url, api_key = json.loads(running.stdout.readline())
        yield running, Payments(url, api_key), api_key


def test_a_killed_runner_leaves_no_process_and_the_next_runner_continues(
    new_place: Place,
) -> None:
    with runner(new_place) as (running, payments, api_key):
        family = descendants(running.pid)
        posted = [payments.subscribe(order()) for _ in range(30)]
        running.kill()
        eventually(lambda: still_running(family), lambda left: not left, within=5)

    with deployed(new_place, api_key) as deployment:
        deployment.start()
        accounts = deployment.accounts(posted)

    assert len(family) >= len(PROCESSES) + 2  # each Celery worker has a beat
    assert {len(account.codes) for account in accounts} == {1}
    assert {len({mail.message_id for mail in account.mails}) for account in accounts} == {1}
    assert second_mails(accounts) <= MAILS_AT_ONCE
