"""What each fault of the catalogue costs, one at a time, on servers that may be harmed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests_integration.chaos.faults.catalogue import FAULTS
from tests_integration.chaos.stage.stage import Stage, on_servers, private_servers
from tests_integration.harness.accounts import (
    assert_one_code_each,
    recorded_twice,
    second_mails,
)
from tests_integration.harness.deployment import Deployment
from tests_integration.harness.eventually import eventually
from tests_integration.harness.payments import order

FEW = 6
"""Clients that order before the fault begins, and as many while it lasts."""


@dataclass(frozen=True)
class UnderFaults:
    """A system to which any fault can be done."""

    deployment: Deployment
    stage: Stage


@pytest.fixture(scope="module")
def under_faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UnderFaults]:
    folder = tmp_path_factory.mktemp("faults")
    with private_servers() as servers, on_servers(servers, folder) as stage:
        yield UnderFaults(stage.deploy(), stage)


TARGETS = {
    name: fault.targets
    for name, fault in FAULTS.items()
    if fault.on != "embedded" and name not in {"kill", "power cut"}  # see test_failures
}
MAILS_IN_DOUBT = {"mail late", "mail hang up"}
"""A mail server that withholds its reply leaves each of its mails in doubt."""

FROZEN = ("payment-relay", "student-consumer", "student-tasks")
"""That is enough: a process that stands still is not harmed, and `make chaos` freezes all."""

CASES = [
    pytest.param(name, target, id=f"{name}-{target}".replace(" ", "-").replace(":", "-"))
    for name, targets in TARGETS.items()
    for target in (FROZEN if name == "freeze" else targets)
]


@pytest.mark.parametrize(("name", "target"), CASES)
def test_each_subscription_has_one_code_whatever_fails(
    under_faults: UnderFaults, name: str, target: str
) -> None:
    deployment, stage = under_faults.deployment, under_faults.stage
    deployment.mend()
    fault = FAULTS[name]
    with ThreadPoolExecutor(2 * FEW) as clients:
        before = [clients.submit(deployment.payments.subscribe, order()) for _ in range(FEW)]
        fault.begin(stage, target)
        meanwhile = [clients.submit(deployment.payments.subscribe, order()) for _ in range(FEW)]
        if name == "crash point":
            process = target.partition(":")[0]
            eventually(deployment.system.running, lambda names: process not in names, within=20)
        else:
            time.sleep(fault.seconds[0])  # this waits for nothing: so long does it last
        happened = fault.end(stage, target)
        deployment.mend()
        paid = [client.result() for client in [*before, *meanwhile]]
    accounts = deployment.accounts(paid)

    assert happened
    assert recorded_twice(deployment, paid) == []
    assert_one_code_each(accounts)
    assert second_mails(accounts) <= (
        len(accounts) if name in MAILS_IN_DOUBT else fault.doubles_mails(target)
    )
