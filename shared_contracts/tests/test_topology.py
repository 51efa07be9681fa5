"""Every event has a producer, and a handler in another service."""

from __future__ import annotations

from admit_one.contract.package import ContractPackage
from shared_contracts.topology import TOPOLOGY

EVENTS = ContractPackage("shared_contracts").events


def test_every_producer_is_in_the_topology() -> None:
    assert [event.type for event in EVENTS if event.producer not in TOPOLOGY] == []


def test_every_event_is_handled_by_another_service() -> None:
    handled = {event for service in TOPOLOGY.values() for event in service.handles}

    assert handled == set(EVENTS)
    assert [s.name for s in TOPOLOGY.values() if set(s.handles) & set(s.publishes)] == []
