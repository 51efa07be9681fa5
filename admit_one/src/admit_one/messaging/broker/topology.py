"""The topology of a contract as Kombu's exchanges and queues, under a prefix.

The deploy step declares them, and the processes require them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from amqp.exceptions import AMQPError, NotFound, PreconditionFailed
from kombu import Connection, Exchange, Queue, binding

from admit_one.contract import Service
from admit_one.messaging import conf

from .connection import channel_of

DELIVERY_LIMIT = 20
"""Deliveries without an ack after which the broker dead-letters a message."""

UNLIMITED = 1_000_000
"""The delivery limit of the dead queue, which must not drop a message (-1 does, on 3.10)."""


class TopologyMissing(AMQPError):
    """An exchange or queue of this service does not exist yet: run `manage.py declare_topology`."""


class TopologyDiffers(Exception):
    """The broker has something of our name with other arguments; waiting does not fix that."""


@dataclass(frozen=True)
class ServiceTopology:
    """What one service has on the broker. Every name starts with `prefix`."""

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
        """Holds the suspects: messages past their delivery limit."""
        name = self.service.dead(self.prefix)
        return Queue(
            name,
            exchange=_exchange(name),
            routing_key="dead",
            durable=True,
            queue_arguments={"x-queue-type": "quorum", "x-delivery-limit": UNLIMITED},
        )

    def of(self, name: str) -> ServiceTopology:
        """The topology of another service, by its name."""
        return ServiceTopology(Service(name), self.prefix)


def ours() -> ServiceTopology:
    """The topology of the service that this process belongs to."""
    current = conf.current()
    return ServiceTopology(current.service, current.BROKER_PREFIX)


def declare(connection: Connection, topology: ServiceTopology) -> None:
    """Declare everything that a service needs on the broker, and unbind what it has retired.

    Raises `TopologyDiffers` if something exists with other arguments.
    """
    try:
        with channel_of(connection) as channel:
            for exchange in (topology.exchange, *topology.producers()):
                exchange(channel).declare()
            for queue in (topology.dead, topology.inbox):
                queue(channel).declare()
            for name, key in topology.service.retired:
                channel.queue_unbind(topology.inbox.name, f"{topology.prefix}{name}", key)
    except PreconditionFailed as error:
        raise TopologyDiffers(
            f"{error.reply_text}: drain and delete it, or choose a new name"
        ) from None


def require(connection: Connection, *, queues: Sequence[str] = (), exchange: str = "") -> None:
    """Check that these exist, which needs no permission. Raises `TopologyMissing`."""
    with channel_of(connection) as channel:
        try:
            for queue in queues:
                channel.queue_declare(queue, passive=True)
            if exchange:
                channel.exchange_declare(exchange, type="direct", passive=True)
        except NotFound as error:
            raise TopologyMissing(f"{error.reply_text}; run `manage.py declare_topology`") from None


def _exchange(name: str) -> Exchange:
    return Exchange(name, type="direct", durable=True)
