"""Short runs of `make chaos` with a fixed seed, and proof that its checker finds planted bugs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from tests_integration.chaos.faults.plan import Planned, plan
from tests_integration.chaos.options import ChaosOptions
from tests_integration.chaos.run import run
from tests_integration.chaos.stage import stage
from tests_integration.chaos.stage.stage import PrivateServers

SEED = 613
SECONDS = 20.0
RATE = 15.0
FAULT_EVERY = 2.0
ENOUGH = 60
"""Subscriptions, a fifth of what clients send: a busy machine accepts fewer of them in time."""

SHORT = ChaosOptions(SECONDS, SEED, RATE, erasures=0.3, recovery=90.0)
BRIEF = replace(SHORT, seconds=6.0, patience=2.0)
"""For bugs that show at once."""


@pytest.fixture(scope="module")
def private_servers(installed_rabbitmq: None) -> Iterator[PrivateServers]:
    with stage.private_servers() as servers:
        yield servers


@pytest.mark.timeout(240)
def test_nothing_is_lost_or_doubled_whatever_fails(
    private_servers: PrivateServers, tmp_path: Path
) -> None:
    faults = plan(SEED, SECONDS, "servers", every=FAULT_EVERY)
    with stage.on_private_servers(private_servers, tmp_path) as here:
        result = run(here, SHORT, faults)

    assert result.findings() == []
    assert result.accepted > ENOUGH
    assert result.faults.total() >= 5
    assert min(result.sales, result.forged, result.erased, result.webhooks) > 0


@pytest.mark.timeout(240)
def test_nothing_is_lost_or_doubled_on_the_embedded_default(tmp_path: Path) -> None:
    faults = plan(SEED, SECONDS, "embedded", every=FAULT_EVERY)
    with stage.embedded(tmp_path) as here:
        result = run(here, SHORT, faults)

    assert result.findings() == []
    assert result.accepted > ENOUGH
    assert result.faults.total() >= 5
    assert min(result.sales, result.forged, result.erased, result.webhooks) > 0


def test_a_consumer_that_acks_before_its_commit_is_found(
    private_servers: PrivateServers, tmp_path: Path
) -> None:
    faults = [Planned(2.0, 5.0, "crash point", "student-consumer:uncommitted")]
    # Without third parties, whose duplicates would replace the lost messages, and without changes:
    # so whichever message is lost, it is the request for a code.
    alone = replace(BRIEF, third_party_rate=0.0, changes=False)
    with stage.on_private_servers(private_servers, tmp_path, bug="ack-before-commit") as here:
        result = run(here, alone, faults)

    assert result.faults.total() == 1
    assert any("has no code" in what for what in result.verdict.lost), result
    assert any("was never handled" in what for what in result.verdict.unaccounted)


def test_a_relay_that_marks_before_the_confirm_is_found(
    private_servers: PrivateServers, tmp_path: Path
) -> None:
    faults = [Planned(2.0, 4.0, "broker silent", "broker")]
    with stage.on_private_servers(private_servers, tmp_path, bug="mark-before-confirm") as here:
        result = run(here, BRIEF, faults)

    assert any("has no code" in what for what in result.verdict.lost)
    assert any("was never handled" in what for what in result.verdict.unaccounted)


class Bug(NamedTuple):
    """What one does, and what the verdict says of it."""

    name: str
    finding: str
    lists: tuple[str, ...]
    options: ChaosOptions = BRIEF


BUGS = {
    "a consumer without an inbox": Bug("no-inbox", " requests", ("doubled",)),
    "a redemption that counts each request": Bug(
        "count-each-request", "was redeemed", ("doubled",), replace(BRIEF, visits=20.0)
    ),
    "a worker that takes any answer to a webhook": Bug(
        "take-any-answer", "was not reported to", ("lost",), replace(BRIEF, acts=10.0)
    ),
    "a provider that takes forged events": Bug(
        "take-any-event", "is kept, but Stripe has not sent it", ("unaccounted",)
    ),
    "a side that erases nothing": Bug(
        "erase-nothing", "erased", ("leaked", "doubled"), replace(BRIEF, erasures=0.5)
    ),
}


@pytest.mark.parametrize("bug", BUGS.values(), ids=[name.replace(" ", "-") for name in BUGS])
def test_a_bug_is_found_without_any_fault(
    private_servers: PrivateServers, tmp_path: Path, bug: Bug
) -> None:
    with stage.on_private_servers(private_servers, tmp_path, bug=bug.name) as here:
        result = run(here, bug.options, [])

    findings = [each for name in bug.lists for each in getattr(result.verdict, name)]
    assert any(bug.finding in each for each in findings), result
