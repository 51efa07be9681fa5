"""Compares the broker with the topology, and reports each difference.

It uses only AMQP, and changes nothing. It redeclares what exists: the broker refuses a declaration
that differs, and names the difference. It also reports what AMQP cannot show.
`manage.py why` takes only a quick look, bounded in time: does the broker answer, and do the queues
have consumers?
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from amqp.exceptions import AccessRefused, NotFound, PreconditionFailed
from django.conf import settings
from django.utils.module_loading import import_string
from kombu import Connection, Exchange, Queue

from admit_one.database.clock import now_plus
from admit_one.environment.addresses import REDIS, brokers
from admit_one.masking import mask
from admit_one.messaging import conf
from admit_one.messaging.models import OutboxMessage

from . import connection as broker
from . import topology

WAITS_TOO_LONG = 60.0
"""Seconds after which an event in the outbox is late."""

DECLARE = "run `manage.py declare_topology` with a broker user that may configure"

WORK = "start the Celery worker, which declares it"

REFUSALS = (NotFound, PreconditionFailed, AccessRefused)


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
    fix: str = ""
    """What to do about it."""


def examine(connection: Connection) -> Iterator[Finding]:
    """Check everything that this service needs on the broker. Raises one of `BROKER_ERRORS`."""
    ours = topology.ours()
    inbox, dead, own = ours.inbox, ours.dead, ours.exchange
    yield from _exchange(connection, own, DECLARE)
    for exchange in ours.producers():
        fix = f"{DECLARE}, here or in the service that publishes to it"
        yield from _exchange(connection, exchange, fix)
    until_then = f"until then {inbox.name} cannot dead-letter a message"
    yield from _exchange(connection, dead.exchange, f"{DECLARE}; {until_then}")
    yield from _queue(connection, inbox, "start `manage.py consume_events`")
    yield from _queue(
        connection, dead, "start `manage.py consume_events`, which consumes this queue too"
    )
    yield from _waiting(own.name)
    yield Finding(
        Condition.UNSEEN,
        "bindings",
        "AMQP does not show which keys are bound; a key without a queue is reported above",
        "`manage.py declare_topology` binds what is missing, and changes nothing else",
    )


def quorum_queues() -> Iterator[tuple[str, str]]:
    """The virtual host and the name of each queue of this service on RabbitMQ."""
    ours, tasks = topology.ours(), tasks_queue()
    listed = {conf.current().BROKER_URL: [ours.inbox, ours.dead]}
    if tasks is not None:
        listed.setdefault(tasks_broker(), []).append(tasks)
    for url, queues in listed.items():
        if url.startswith("amqp"):
            virtual_host = brokers(url)[0].path or "/"
            yield from ((virtual_host, queue.name) for queue in queues)


def tasks_broker() -> str:
    """The URL of Celery's broker; empty without one."""
    return str(getattr(settings, "TASKS_BROKER_URL", ""))


def tasks_queue() -> Queue | None:
    """The queue of Celery's tasks; none without a Celery app."""
    app = conf.current().CELERY_APP
    if not app or not tasks_broker():
        return None
    queue: Queue
    [queue] = import_string(app).conf.task_queues
    return queue


def examine_tasks() -> Iterator[Finding]:
    """Check the queue of Celery's tasks, on its own broker. Nothing of it needs to last."""
    url, queue = tasks_broker(), tasks_queue()
    if queue is None:
        return
    if url.startswith(REDIS):
        yield Finding(Condition.UNSEEN, f"queue {queue.name}", "it is in Redis", "ask Redis")
        return
    try:
        with broker.connected("broker_doctor", brokers(url)) as connection:
            yield from _queue(connection, queue, WORK, declare=WORK)
    except broker.BROKER_ERRORS as error:
        fix = "look at TASKS_BROKER_URL; until then mails and other tasks wait"
        yield Finding(Condition.WRONG, "broker of the tasks", broker.in_words(error), fix)


def _exchange(connection: Connection, exchange: Exchange, fix: str) -> Iterator[Finding]:
    what = f"exchange {exchange.name}"
    declared = _answer(
        connection, lambda ch: ch.exchange_declare(exchange.name, exchange.type, passive=True)
    )
    if isinstance(declared, NotFound):
        yield Finding(Condition.WRONG, what, "it is missing", fix)
        return
    yield _compared(what, _answer(connection, lambda ch: exchange(ch).declare()), exchange.type)


def _queue(
    connection: Connection, queue: Queue, consume: str, *, declare: str = DECLARE
) -> Iterator[Finding]:
    what = f"queue {queue.name}"
    declared = _declared(connection, queue.name)
    if isinstance(declared, NotFound):
        yield Finding(Condition.WRONG, what, "it is missing", declare)
        return
    if isinstance(declared, REFUSALS):
        yield Finding(
            Condition.UNSEEN,
            what,
            str(declared.reply_text),
            "run this with a broker user that may read it",
        )
        return
    waiting, consumers = declared.message_count, declared.consumer_count
    if not consumers:
        waits = f"{waiting} waiting, and no consumer" if waiting else "no consumer"
        yield Finding(Condition.WRONG, what, waits, consume)
    same = _answer(connection, lambda ch: queue(ch).queue_declare())
    if consumers or isinstance(same, REFUSALS):
        yield _compared(what, same, f"{waiting} waiting, {consumers} consuming")


def _compared(what: str, answer: Any, fine: str) -> Finding:
    """The finding from the broker's answer to a redeclaration."""
    if not isinstance(answer, REFUSALS):
        return Finding(Condition.FINE, what, fine)
    if isinstance(answer, PreconditionFailed):
        return Finding(
            Condition.WRONG,
            what,
            f"it was declared differently: {answer.reply_text}",
            "stop its publisher, let it drain, delete it, then run `manage.py declare_topology`",
        )
    return Finding(
        Condition.UNSEEN,
        what,
        f"{fine}; its type and arguments are not compared: this user may not configure",
        "run this with the broker user of the deploy step",
    )


def _declared(connection: Connection, queue: str) -> Any:
    return _answer(connection, lambda ch: ch.queue_declare(queue, passive=True))


def _answer(connection: Connection, request: Callable[[Any], Any]) -> Any:
    """The broker's answer or refusal. A refusal closes the channel, so each request has its own."""
    channel = broker.channel_of(connection)
    try:
        answer = request(channel)
    except REFUSALS as refusal:
        return refusal
    channel.close()
    return answer


def _waiting(exchange: str) -> Iterator[Finding]:
    for event in conf.current().service.publishes:
        result, fix = _of_key(event.type, exchange)
        condition = Condition.WRONG if fix else Condition.FINE
        yield Finding(condition, f"key {event.type}", result, fix)


def _of_key(key: str, exchange: str) -> tuple[str, str]:
    """What the unsent rows show about a routing key, and the fix, if it needs one."""
    unsent = OutboxMessage.objects.unsent().filter(type=key)
    refused = unsent.filter(attempts__gt=0).order_by("-attempts").first()
    oldest = unsent.order_by("next_attempt_at", "id").first()
    if refused is not None:
        return (
            f"an event was refused {refused.attempts} times: {mask(refused.last_error)}",
            "the relay retries it; if a full queue or disk is the reason, fix that",
        )
    if oldest is None or not unsent.filter(created_at__lt=now_plus(-WAITS_TOO_LONG)).exists():
        return "no event has waited for long", ""
    since = f"{oldest.created_at:%Y-%m-%d %H:%M}"
    if _others_were_published_since(oldest):
        return (
            f"events have waited since {since} while others were published: "
            f"no queue is bound to it on {exchange}",
            "run `manage.py declare_topology` of the service that handles it; nothing is lost",
        )
    return (
        f"events have waited since {since}, and none was published since: "
        "the relay is not working, or no queue is bound",
        "look at the log of `manage.py relay_outbox`, or at its /health/ready",
    )


def _others_were_published_since(row: OutboxMessage) -> bool:
    later = OutboxMessage.objects.filter(id__gt=row.id, published_at__gt=row.created_at)
    return later.exists()


@dataclass(frozen=True)
class Look:
    broker_error: str = ""
    """Why the broker does not answer; empty if it does."""
    notes: tuple[str, ...] = ()
    """On queues for this service's events that are missing, not empty, or without a consumer."""


def look() -> Look:
    """Ask the broker about the queues for this service's events, in a few seconds at most."""
    try:
        with broker.connected("why") as connection:
            return Look(notes=tuple(_notes(connection)))
    except broker.BROKER_ERRORS as error:
        return Look(broker_error=mask(str(error)) or type(error).__name__)


def _notes(connection: Connection) -> Iterator[str]:
    current = conf.current()
    mine = set(current.service.publishes)
    for service in current.topology.values():
        if service is not current.service and not mine & set(service.handles):
            continue
        name = service.inbox(current.BROKER_PREFIX)
        declared = _declared(connection, name)
        if isinstance(declared, NotFound):
            yield f"{name} does not exist: its messages wait in the outbox."
            continue
        if isinstance(declared, REFUSALS):
            continue  # this user may not see it, so there is nothing to report
        waiting, consumers = declared.message_count, declared.consumer_count
        if not consumers:
            yield f"Nobody consumes {name}" + (f": {waiting:,} messages wait." if waiting else ".")
        elif waiting:
            yield f"{waiting:,} messages wait in {name}; consumers: {consumers}."
