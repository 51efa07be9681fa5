"""Above a cap, codes that a reconciliation asks for wait, until an operator lifts the cap."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests_integration.harness.backups import back_up
from tests_integration.harness.deployment import (
    COMPARE_AT_ONCE,
    SETTINGS,
    Deployment,
    deployed,
)
from tests_integration.harness.kinds import on_servers
from tests_integration.harness.payments import order
from tools.system.eventually import eventually
from tools.system.system import PROCESSES, CommandFailed

from .conftest import place

CAP, COUNT = 3, 8


@pytest.fixture
def deployment(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    student = {**SETTINGS["student_service"], "GRANTS_AN_HOUR": str(CAP)}
    settings = {**COMPARE_AT_ONCE, "student_service": student}
    with place(kind, request, tmp_path) as here, deployed(here, settings=settings) as deployment:
        yield deployment


def restored(deployment: Deployment, run: str) -> int:
    """How many subscriptions the payment side has got back so far."""
    try:
        shown = deployment.system.manage("payment_service", "reconcile", "show", run)
    except CommandFailed as error:  # its exit code says that the run is not finished
        shown = str(error)
    match = re.search(r"no known payment: (?:.*, )?(\d+) repaired", shown)
    return int(match[1]) if match else 0


@on_servers
def test_a_restored_database_gets_its_subscriptions_in_shares_unless_the_cap_is_lifted(
    deployment: Deployment,
) -> None:
    restore = back_up(deployment.place.backends.payment_database_url)
    deployment.start()
    accounts = deployment.accounts(deployment.subscribe(order() for _ in range(COUNT)))
    for name in PROCESSES:
        if name != "mail":
            deployment.system.stop(name)
    restore()
    deployment.reset()

    with pytest.raises(CommandFailed) as unfinished:
        deployment.system.manage("payment_service", "reconcile", "--repair", "--wait", "10")
    [run] = re.findall(r"manage[.]py grants lift (\S+)", str(unfinished.value))
    in_first_hour = restored(deployment, run)
    deployment.system.manage("student_service", "grants", "lift", run, "--reason", "a restore")
    eventually(lambda: restored(deployment, run), lambda count: count == COUNT)
    ids = [account.subscription.id for account in accounts]
    deployment.system.manage("payment_service", "reconcile", "adopt", "--client", "local", *ids)

    # The run may have met the turn of an hour, in which it got two shares.
    assert in_first_hour in {CAP, 2 * CAP}
    assert deployment.accounts([account.subscription for account in accounts]) == accounts
    assert deployment.system.process("student-tasks").said("event=grants_wait") == 1
