"""Who publishes what to whom, and the names of it all on the broker, as data.

Each service owns one direct exchange and may write nowhere else, so it cannot forge the
other's events. A third service binds a queue of its own and changes nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass

from kombu import Exchange, Queue, binding

from .events import (
    AccessCodeCreated,
    AccessCodeRestored,
    AccessCodeRevoked,
    AccessCodeUndeliverable,
    AccessDigest,
    AccessDigestRequested,
    AccessGrantReported,
    AccessGrantsRequested,
    Event,
    SubscriptionCancelled,
    UserSubscribed,
)

DELIVERY_LIMIT = 20
"""Deliveries of a message that kills its consumer before it is taken out of the way."""

KEEP_LOOKING = 1_000_000
"""The dead queue's own limit: being looked at must not delete a message (-1 does, on 3.10)."""


@dataclass(frozen=True)
class Service:
    """One service's place in the topology. Every name starts with `prefix`, mostly empty."""

    name: str
    publishes: tuple[type[Event], ...]
    handles: tuple[type[Event], ...]
    retired: tuple[tuple[str, str], ...] = ()
    """(exchange, key) pairs that earlier releases bound; `declare_topology` unbinds them."""

    def events(self, prefix: str = "") -> Exchange:
        """The exchange that carries what this service publishes; the routing key is the type."""
        return exchange_of(self.name, prefix)

    def inbox(self, prefix: str = "") -> Queue:
        """The queue of all that this service handles, bound to the exchange of each producer."""
        dead = self.dead(prefix)
        return Queue(
            f"{prefix}{self.name}.inbox",
            bindings=[
                binding(exchange_of(event.producer, prefix), routing_key=event.type)
                for event in self.handles
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

    def dead(self, prefix: str = "") -> Queue:
        """The queue of messages whose delivery limit is used up: suspects."""
        name = f"{prefix}{self.name}.dead"
        return Queue(
            name,
            exchange=Exchange(name, type="direct", durable=True),
            routing_key="dead",
            durable=True,
            queue_arguments={"x-queue-type": "quorum", "x-delivery-limit": KEEP_LOOKING},
        )


def exchange_of(producer: str, prefix: str = "") -> Exchange:
    """The durable direct exchange of a publisher."""
    return Exchange(f"{prefix}{producer}.events", type="direct", durable=True)


_ASKED = (
    UserSubscribed,
    SubscriptionCancelled,
    AccessDigestRequested,
    AccessGrantsRequested,
    AccessCodeRestored,
)
_TOLD = (
    AccessCodeCreated,
    AccessCodeRevoked,
    AccessCodeUndeliverable,
    AccessDigest,
    AccessGrantReported,
)

PAYMENT = Service("payment_service", publishes=_ASKED, handles=_TOLD)
STUDENT = Service("student_service", publishes=_TOLD, handles=_ASKED)

SERVICES = {service.name: service for service in (PAYMENT, STUDENT)}
