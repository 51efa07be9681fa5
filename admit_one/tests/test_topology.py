"""A service owns one exchange, and one queue holds what it handles."""

from __future__ import annotations

from typing import Any

import pytest
from admit_one.contract import Service, Topology
from admit_one.messaging.broker.topology import ServiceTopology

from tests.contract.events import UserSubscribed
from tests.contract.topology import STUDENT, TOPOLOGY


def test_an_inbox_binds_to_the_producers_exchange_by_event_type():
    inbox = ServiceTopology(Service("library", handles=(UserSubscribed,)), "test.").inbox

    bound = [(b.exchange and b.exchange.name, b.routing_key) for b in inbox.bindings]

    assert bound == [("test.payment_service.events", "user_subscribed")]


def test_an_inbox_dead_letters_into_the_dead_queue_at_least_once():
    topology = ServiceTopology(STUDENT, "test.")

    assert topology.inbox.queue_arguments == {
        "x-queue-type": "quorum",
        "x-delivery-limit": 20,
        "x-dead-letter-exchange": topology.dead.exchange.name,
        "x-dead-letter-routing-key": topology.dead.routing_key,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    assert topology.dead.queue_arguments == {
        "x-queue-type": "quorum",
        "x-delivery-limit": 1_000_000,
    }


@pytest.mark.parametrize("service", TOPOLOGY.values(), ids=TOPOLOGY.keys())
def test_every_name_has_the_prefix_and_everything_is_durable(service):
    topology = ServiceTopology(service, "p.")
    entities: list[Any] = [topology.exchange, topology.inbox, topology.dead, topology.dead.exchange]

    assert all(entity.name.startswith(f"p.{service.name}.") for entity in entities)
    assert all(entity.durable for entity in entities)


def test_a_topology_refuses_an_event_of_an_unknown_producer():
    with pytest.raises(ValueError, match="payment_service is not a service of this topology"):
        Topology(Service("library", handles=(UserSubscribed,)))


def test_a_topology_refuses_a_duplicate_service():
    with pytest.raises(ValueError, match="given twice"):
        Topology(Service("library"), Service("library"))
