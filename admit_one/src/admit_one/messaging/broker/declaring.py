"""Exchanges, queues and bindings: made at deploy, required by the processes."""

from __future__ import annotations

from collections.abc import Sequence

from amqp.exceptions import AMQPError, NotFound, PreconditionFailed
from kombu import Connection

from .connection import channel_of
from .topology import Place


class TopologyMissing(AMQPError):
    """An exchange or queue of this service does not exist yet: run `manage.py declare_topology`."""


class TopologyDiffers(Exception):
    """The broker has something of our name with other arguments; nobody mends that by waiting."""


def declare(connection: Connection, place: Place) -> None:
    """Make everything that a service needs on the broker, and unbind what it has retired.

    Raises `TopologyDiffers` if something exists with other arguments.
    """
    try:
        with connection.channel() as channel:
            for exchange in (place.exchange, *place.producers()):
                exchange(channel).declare()
            for queue in (place.dead, place.inbox):
                queue(channel).declare()
            for name, key in place.service.retired:
                inbox = place.inbox(channel)
                inbox.unbind_from(exchange=f"{place.prefix}{name}", routing_key=key)
    except PreconditionFailed as error:
        raise TopologyDiffers(
            f"{error.reply_text}: drain and delete it, or choose a new name"
        ) from None


def require(connection: Connection, *, queues: Sequence[str] = (), exchange: str = "") -> None:
    """Check, without any right on the broker, that these exist. Raises `TopologyMissing`."""
    with channel_of(connection) as channel:
        try:
            for queue in queues:
                channel.queue_declare(queue, passive=True)
            if exchange:
                channel.exchange_declare(exchange, type="direct", passive=True)
        except NotFound as error:
            raise TopologyMissing(f"{error.reply_text}; run `manage.py declare_topology`") from None
