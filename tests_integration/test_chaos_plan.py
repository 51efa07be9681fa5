"""The plan of a chaos run is drawn from its seed."""

from __future__ import annotations

from itertools import pairwise

from tests_integration.chaos.faults.catalogue import FAULTS
from tests_integration.chaos.faults.plan import plan


def test_the_same_seed_gives_the_same_plan() -> None:
    assert plan(7, 600, "servers") == plan(7, 600, "servers")
    assert plan(7, 600, "servers") != plan(8, 600, "servers")


def test_ten_minutes_on_servers_include_every_kind_of_fault() -> None:
    planned = plan(7, 600, "servers")
    kinds = {name for name, fault in FAULTS.items() if fault.on in {"both", "servers"}}

    assert len(planned) >= 120
    assert {fault.fault for fault in planned} == kinds


def test_the_embedded_broker_gets_no_server_faults() -> None:
    kinds = {fault.fault for fault in plan(7, 600, "embedded")}

    assert {FAULTS[name].on for name in kinds} == {"both", "embedded"}


def test_faults_of_one_target_never_overlap() -> None:
    by_target: dict[str, list[tuple[float, float]]] = {}
    for fault in plan(7, 600, "servers"):
        for part in FAULTS[fault.fault].touches(fault.target):
            by_target.setdefault(part, []).append((fault.at, fault.until))

    overlaps = [
        (part, earlier, later)
        for part, times in by_target.items()
        for earlier, later in pairwise(sorted(times))
        if later[0] < earlier[1]
    ]
    assert overlaps == []
