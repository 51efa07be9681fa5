"""What differs between the topology as declared and the broker as it is, in plain words.

It uses AMQP alone, and changes nothing. It declares what is there once more, equally: the broker
refuses another argument or type, and names it. What AMQP does not show is reported, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from amqp.exceptions import AccessRefused, NotFound, PreconditionFailed
from django.db.models import Max
from kombu import Connection, Exchange, Queue

from admit_one.database.clock import now_plus
from admit_one.masking import mask
from admit_one.messaging import conf
from admit_one.messaging.models import OutboxMessage

from . import connection as broker
from . import topology

WAITS_TOO_LONG = 60.0
"""Seconds after which an event in the outbox is no longer on its way but waits for something."""

DECLARE = "run `manage.py declare_topology` with a broker user that may configure"


class Condition(StrEnum):
    FINE = "fine"
    WRONG = "wrong"
    UNSEEN = "unseen"
    """AMQP does not show it, or not with this user's rights."""


@dataclass(frozen=True)
class Finding:
    condition: Condition
    what: str
    result: str
    mend: str = ""
    """What to do about it."""


def examine(connection: Connection) -> Iterator[Finding]:
    """Look at everything that this service needs on the broker. Raises one of `BROKER_ERRORS`."""
    place = topology.ours()
    inbox, dead, own = place.inbox, place.dead, place.exchange
    yield from _exchange(connection, own, DECLARE)
    for exchange in place.producers():
        mend = f"{DECLARE}, here or in the service that publishes to it"
        yield from _exchange(connection, exchange, mend)
    stay = f"until then {inbox.name} cannot dead-letter a message"
    yield from _exchange(connection, dead.exchange, f"{DECLARE}; {stay}")
    yield from _queue(connection, inbox, "start `manage.py consume_events`")
    yield from _queue(
        connection, dead, "start `manage.py consume_events`, which consumes this queue too"
    )
    yield from _waiting(own.name)
    yield Finding(
        Condition.UNSEEN,
        "bindings",
        "AMQP does not show which keys are bound; a key that nobody is bound to shows above",
        "`manage.py declare_topology` binds what is missing, and changes nothing else",
    )


def _exchange(connection: Connection, exchange: Exchange, mend: str) -> Iterator[Finding]:
    what = f"exchange {exchange.name}"
    missing = _refused(
        connection, lambda ch: ch.exchange_declare(exchange.name, exchange.type, passive=True)
    )
    if isinstance(missing, NotFound):
        yield Finding(Condition.WRONG, what, "it is missing", mend)
        return
    yield _compared(what, _refused(connection, lambda ch: exchange(ch).declare()), exchange.type)


def _queue(connection: Connection, queue: Queue, take: str) -> Iterator[Finding]:
    what = f"queue {queue.name}"
    declared: list[Any] = []
    refusal = _refused(
        connection, lambda ch: declared.append(ch.queue_declare(queue.name, passive=True))
    )
    if isinstance(refusal, NotFound):
        yield Finding(Condition.WRONG, what, "it is missing", DECLARE)
        return
    if refusal is not None:
        yield Finding(
            Condition.UNSEEN,
            what,
            refusal.reply_text,
            "run this with a broker user that may read it",
        )
        return
    waiting, consumers = declared[0].message_count, declared[0].consumer_count
    if not consumers:
        waits = f"{waiting} wait, and nobody consumes it" if waiting else "nobody consumes it"
        yield Finding(Condition.WRONG, what, waits, take)
    same = _refused(connection, lambda ch: queue(ch).queue_declare())
    if consumers or same is not None:
        yield _compared(what, same, f"{waiting} waiting, {consumers} consuming")


def _compared(what: str, refusal: Any, fine: str) -> Finding:
    """What the broker replies to an equal declaration of something that is there."""
    if refusal is None:
        return Finding(Condition.FINE, what, fine)
    if isinstance(refusal, PreconditionFailed):
        return Finding(
            Condition.WRONG,
            what,
            f"it is declared in another way: {refusal.reply_text}",
            "stop its publisher, let it be emptied, delete it, then "
            "run `manage.py declare_topology`",
        )
    return Finding(
        Condition.UNSEEN,
        what,
        f"{fine}; its type and arguments are not compared: this user may not configure",
        "run this with the broker user of the deploy step",
    )


def _refused(connection: Connection, ask: Callable[[Any], object]) -> Any:
    """The broker's refusal, or None. A refusal ends the channel, so each question has its own."""
    channel = broker.channel_of(connection)
    try:
        ask(channel)
    except (NotFound, PreconditionFailed, AccessRefused) as refusal:
        return refusal
    channel.close()
    return None


def _waiting(exchange: str) -> Iterator[Finding]:
    """What the outbox shows of the keys: a row is unsent until the broker has confirmed it."""
    for event in conf.current().service.publishes:
        unsent = OutboxMessage.objects.unsent().filter(type=event.type)
        what = f"key {event.type}"
        refused = unsent.filter(attempts__gt=0).order_by("-attempts").first()
        oldest = unsent.order_by("next_attempt_at", "id").first()
        if refused is not None:
            yield Finding(
                Condition.WRONG,
                what,
                f"an event was refused {refused.attempts} times: {mask(refused.last_error)}",
                "the relay retries it; if a full queue or disk is the reason, fix that",
            )
        elif oldest is None or not unsent.filter(created_at__lt=now_plus(-WAITS_TOO_LONG)).exists():
            yield Finding(Condition.FINE, what, "no event waits for long")
        elif _others_went_out_since(oldest):
            yield Finding(
                Condition.WRONG,
                what,
                f"events have waited since {oldest.created_at:%Y-%m-%d %H:%M} while others were "
                f"published: nobody is bound to it on {exchange}",
                "run `manage.py declare_topology` of the service that handles it; nothing is lost",
            )
        else:
            yield Finding(
                Condition.WRONG,
                what,
                f"events have waited since {oldest.created_at:%Y-%m-%d %H:%M}, and none was "
                "published since: the relay does not work, or nobody is bound",
                "look at the log of `manage.py relay_outbox`, or at its /health/ready",
            )


def _others_went_out_since(row: OutboxMessage) -> bool:
    last = OutboxMessage.objects.filter(id__gt=row.id).aggregate(last=Max("published_at"))["last"]
    return last is not None and last > row.created_at
