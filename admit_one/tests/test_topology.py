"""Who may write where: a service owns one exchange, and one queue takes what it handles."""

from __future__ import annotations

import pytest
from shared_contracts.events import EVENTS, UserSubscribed
from shared_contracts.topology import SERVICES, STUDENT, Service


def test_every_event_is_published_by_its_producer_and_by_nobody_else():
    published = {event.type: s.name for s in SERVICES.values() for event in s.publishes}

    assert published == {name: event.producer for name, event in EVENTS.items()}
    assert sum(len(s.publishes) for s in SERVICES.values()) == len(EVENTS)


def test_every_event_is_handled_by_somebody():
    assert {event.type for s in SERVICES.values() for event in s.handles} == set(EVENTS)


def test_an_inbox_is_bound_to_the_exchange_of_the_producer_by_the_type():
    inbox = Service("library", publishes=(), handles=(UserSubscribed,)).inbox("test.")

    bound = [(b.exchange and b.exchange.name, b.routing_key) for b in inbox.bindings]

    assert bound == [("test.payment_service.events", "user_subscribed")]


def test_an_inbox_gives_up_only_into_the_dead_queue_and_loses_nothing_on_the_way():
    inbox, dead = STUDENT.inbox("test."), STUDENT.dead("test.")

    assert inbox.queue_arguments == {
        "x-queue-type": "quorum",
        "x-delivery-limit": 20,
        "x-dead-letter-exchange": dead.exchange.name,
        "x-dead-letter-routing-key": dead.routing_key,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    assert dead.queue_arguments == {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())
def test_every_name_carries_the_prefix_and_everything_is_durable(service):
    entities = [
        service.events("p."),
        service.inbox("p."),
        service.dead("p."),
        service.dead("p.").exchange,
    ]

    assert all(entity.name.startswith(f"p.{service.name}.") for entity in entities)
    assert all(entity.durable for entity in entities)
