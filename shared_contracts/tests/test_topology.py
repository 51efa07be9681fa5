"""Nobody publishes for another, and nothing is published into the void."""

from __future__ import annotations

from admit_one.contract.package import ContractPackage
from shared_contracts.topology import TOPOLOGY

EVENTS = ContractPackage.load("shared_contracts").events


def test_every_event_is_published_by_a_service_of_ours() -> None:
    assert [event.type for event in EVENTS if event.producer not in TOPOLOGY] == []


def test_every_event_is_handled_by_another_service() -> None:
    handled = {event for service in TOPOLOGY.values() for event in service.handles}

    assert handled == set(EVENTS)
    assert [s.name for s in TOPOLOGY.values() if set(s.handles) & set(s.publishes)] == []
