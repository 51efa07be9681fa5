"""What each fault of the catalogue costs, one at a time, on private servers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests_integration.chaos.faults.catalogue import FAULTS
from tests_integration.chaos.stage.stage import Stage, on_private_servers, private_servers
from tests_integration.harness.accounts import (
    assert_one_code_each,
    recorded_twice,
    second_mails,
)
from tests_integration.harness.deployment import Deployment
from tests_integration.harness.payments import order
from tools.system.eventually import eventually

FEW = 6
"""Clients that order before the fault, and as many during it."""


@pytest.fixture(scope="module")
def stage(installed_rabbitmq: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("faults")
    with private_servers() as servers, on_private_servers(servers, folder) as stage:
        yield stage


@pytest.fixture(scope="module")
def deployment_under_faults(stage: Stage) -> Deployment:
    deployment = stage.deploy()
    # RabbitMQ 3.10 may lose the leader of a quorum queue that it has declared a moment before
    # it is killed. So each queue has carried something before the first fault.
    deployment.accounts(deployment.subscribe([order()]))
    return deployment


ELSEWHERE = {"kill", "power cut", "broker disk full"}
"""The first two are in test_failures; a full disk needs a small one: `make chaos-disk`."""

TARGETS = {
    name: fault.targets
    for name, fault in FAULTS.items()
    if fault.on != "embedded" and name not in ELSEWHERE
}
MAILS_IN_DOUBT = {"mail late", "mail hang up"}
"""Faults in which the mail server withholds its reply, which leaves every mail in doubt."""

FROZEN = ("payment-relay", "student-consumer", "student-tasks")
"""A few are enough, to save time; `make chaos` freezes all."""

WITHOUT_STRIPE = ("unanswered", "unfinished")
"""Crash points that are not reached here: Stripe sends nothing, and no webhook goes out. They are
reached by `make chaos`."""

CASES = [
    pytest.param(name, target, id=f"{name}-{target}".replace(" ", "-").replace(":", "-"))
    for name, targets in TARGETS.items()
    for target in (FROZEN if name == "freeze" else targets)
    if not target.endswith(WITHOUT_STRIPE)
]


@pytest.mark.parametrize(("name", "target"), CASES)
def test_each_subscription_has_one_code_whatever_fails(
    stage: Stage, deployment_under_faults: Deployment, name: str, target: str
) -> None:
    deployment = deployment_under_faults
    deployment.reset()
    fault = FAULTS[name]
    with ThreadPoolExecutor(2 * FEW) as clients:
        before = [clients.submit(deployment.payments.subscribe, order()) for _ in range(FEW)]
        with fault.inject(stage, target):
            orders = [order() for _ in range(FEW)]
            meanwhile = [clients.submit(deployment.payments.subscribe, each) for each in orders]
            if name == "crash point":
                process = target.partition(":")[0]
                eventually(deployment.system.running, lambda names: process not in names, within=20)
            else:
                time.sleep(fault.seconds[0])  # the duration of the fault
        deployment.reset()
        paid = [client.result() for client in [*before, *meanwhile]]
    accounts = deployment.accounts(paid)

    assert recorded_twice(deployment, paid) == []
    assert_one_code_each(accounts)
    assert second_mails(accounts) <= (
        len(accounts) if name in MAILS_IN_DOUBT else fault.doubles_mails(target)
    )
