"""The topology of a contract as Kombu's exchanges and queues, under a prefix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kombu import Exchange, Queue, binding

from admit_one.contract import Service
from admit_one.messaging import conf

DELIVERY_LIMIT = 20
"""Deliveries of a message that kills its consumer before the broker dead-letters it."""

KEEP_LOOKING = 1_000_000
"""The dead queue's own limit: being looked at must not delete a message (-1 does, on 3.10)."""


@dataclass(frozen=True)
class Place:
    """What one service has on the broker. Every name starts with `prefix`, mostly empty."""

    service: Service
    prefix: str = ""

    @property
    def exchange(self) -> Exchange:
        """Carries what this service publishes; the routing key is the event's type."""
        return _exchange(self.service.exchange(self.prefix))

    def producers(self) -> Iterator[Exchange]:
        """The exchanges that the inbox is bound to, each once."""
        for name in dict.fromkeys(event.producer for event in self.service.handles):
            yield self.of(name).exchange

    @property
    def inbox(self) -> Queue:
        """Holds everything that this service handles; bound to the exchange of each producer."""
        dead = self.dead
        return Queue(
            self.service.inbox(self.prefix),
            bindings=[
                binding(self.of(event.producer).exchange, routing_key=event.type)
                for event in self.service.handles
            ],
            durable=True,
            queue_arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-exchange": dead.exchange.name,
                "x-dead-letter-routing-key": dead.routing_key,
                # At-least-once needs reject-publish; without it the broker silently falls back.
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            },
        )

    @property
    def dead(self) -> Queue:
        """Holds messages whose delivery limit is used up: suspects."""
        name = self.service.dead(self.prefix)
        return Queue(
            name,
            exchange=_exchange(name),
            routing_key="dead",
            durable=True,
            queue_arguments={"x-queue-type": "quorum", "x-delivery-limit": KEEP_LOOKING},
        )

    def of(self, name: str) -> Place:
        """The place of another service, by its name."""
        return Place(Service(name), self.prefix)


def ours() -> Place:
    """The place of the service that this process belongs to."""
    current = conf.current()
    return Place(current.service, current.BROKER_PREFIX)


def _exchange(name: str) -> Exchange:
    return Exchange(name, type="direct", durable=True)
