"""A short look at the broker, bounded in time: does it answer, and who takes what waits there?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from amqp.exceptions import AccessRefused, NotFound
from kombu import Connection

from admit_one.masking import mask
from admit_one.messaging import conf

from . import connection as broker


@dataclass(frozen=True)
class Look:
    away: str = ""
    """Why the broker does not answer."""
    notes: tuple[str, ...] = ()
    """Queues on the way of this service's events that are missing, filled, or taken by nobody."""


def look() -> Look:
    """Ask the broker about the queues on the way, in a few seconds at most."""
    connection = None
    try:
        connection = broker.connect("why")
        return Look(notes=tuple(_notes(connection)))
    except broker.BROKER_ERRORS as error:
        return Look(away=mask(str(error)) or type(error).__name__)
    finally:
        broker.drop(connection)


def _notes(connection: Connection) -> Iterator[str]:
    current = conf.current()
    mine = set(current.service.publishes)
    for service in current.topology.values():
        if service is not current.service and not mine & set(service.handles):
            continue
        name = service.inbox(current.BROKER_PREFIX)
        channel = broker.channel_of(connection)
        try:
            declared = channel.queue_declare(name, passive=True)
        except NotFound:
            yield f"{name} does not exist: its messages wait in the outbox."
            continue
        except AccessRefused:
            continue  # this user may not see it, so there is nothing to report
        waiting, consumers = declared.message_count, declared.consumer_count
        if not consumers:
            yield f"Nobody consumes {name}" + (f": {waiting:,} messages wait." if waiting else ".")
        elif waiting:
            yield f"{waiting:,} messages wait in {name}; consumers: {consumers}."
