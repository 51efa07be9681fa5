"""A channel with py-amqp's face: the same methods, events, errors and tags."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import amqp
from amqp.exceptions import (
    AMQPNotImplementedError,
    ChannelError,
    ConsumerCancelled,
    PreconditionFailed,
    RecoverableConnectionError,
    error_for_code,
)
from amqp.protocol import queue_declare_ok_t
from kombu.transport import base, pyamqp

from . import holders, topology
from .dead_letter import pack_properties, unpack_properties
from .messages import Claimed

if TYPE_CHECKING:
    from .connection import Connection

NO_ROUTE = 312
RETURN = (60, 50)


@dataclass(frozen=True, eq=False)
class Publication:
    """A message on its way into the file. `tag` is 0 where nobody waits for a confirm."""

    row: tuple[str, str, bytes, bytes]
    mandatory: bool
    tag: int
    message: amqp.Message

    @classmethod
    def of(
        cls, message: amqp.Message, exchange: str, routing_key: str, mandatory: bool, tag: int
    ) -> Publication:
        """Pack the message as py-amqp does; errors of packing are the publisher's."""
        body = message.body
        if isinstance(body, str):
            encoding = message.properties.setdefault("content_encoding", "utf-8")
            body = body.encode(encoding)
        row = (exchange, routing_key, pack_properties(message.properties), bytes(body))
        return cls(row, mandatory, tag, message)


@dataclass(eq=False)
class Consumer:
    """Who takes messages from a queue."""

    channel: Channel
    tag: str
    number: int
    queue: topology.Queue
    callback: Callable[[amqp.Message], Any] | None
    on_cancel: Callable[[str], Any] | None
    no_ack: bool
    prefetch: int
    outstanding: int = field(default=0)

    def capacity(self) -> int:
        """How many more messages it may be given."""
        if self.no_ack:
            return 1  # they are gone once taken: not one more than can be handed over
        limits = [
            self.prefetch - self.outstanding if self.prefetch else None,
            self.channel.capacity(),
        ]
        return min((limit for limit in limits if limit is not None), default=65_535)

    def prepare(self, claimed: Claimed) -> Callable[[], None]:
        """Number the delivery; the returned call hands it over."""
        delivery_tag = self.channel.number(claimed.id, self)
        message = self.channel.unpack(claimed, delivery_tag, self.queue, consumer_tag=self.tag)
        return partial(self.callback, message) if self.callback else lambda: None


class Channel(base.StdChannel):
    """Made by `Connection.channel`. Errors of a channel reset it, as py-amqp revives it."""

    Message = pyamqp.Message

    def __init__(self, connection: Connection, channel_id: int) -> None:
        self.connection: Any = connection
        self.channel_id = channel_id
        self.auto_decode = True
        self.is_open = True
        self.events: dict[str, set[Callable[..., Any]]] = defaultdict(set)
        self.no_ack_consumers: set[str] = set()
        self.consumers: dict[str, Consumer] = {}
        self._forget()

    def _forget(self) -> None:
        self._unacked: dict[int, tuple[int, Consumer | None]] = {}
        self._delivery_tag = 0
        self._publish_tag = 0
        self._confirming = False
        self._prefetch_each = 0
        self._prefetch_all = 0
        self._consumer_numbers = 0

    # --- plumbing

    @contextlib.contextmanager
    def _method(self, *, durable: bool = False) -> Iterator[Any]:
        """One method of the protocol: in its turn after what was published, in one transaction."""
        connection = self._require_open()
        with connection.lock:
            connection.require_open()
            connection.flush()
            try:
                with connection.write(durable=durable):
                    yield connection.db
            except ChannelError:
                self._reset()
                raise

    def _require_open(self) -> Connection:
        connection: Connection | None = self.connection
        if connection is None:
            raise RecoverableConnectionError("the channel to the embedded broker is closed")
        connection.require_open()
        return connection

    def _reset(self) -> None:
        """Stop consuming and give back what is unacknowledged."""
        connection = self.connection
        with connection.lock:
            unseen = connection.take_back(self.consumers.values())
            with connection.write():
                connection.messages.undo_claim(unseen, connection.holder)
                unacked = [number for number, _ in self._unacked.values()]
                connection.messages.give_back(unacked, connection.holder)
                holders.remove_consumers(
                    connection.db, [consumer.number for consumer in self.consumers.values()]
                )
            self.consumers.clear()
            self.no_ack_consumers.clear()
            self._forget()

    def fail(self, error: ChannelError) -> None:
        """The broker found fault with something sent before."""
        self._reset()
        raise error

    def close(self) -> None:
        """Give back what is unacknowledged; the channel is of no more use."""
        connection = self.connection
        if connection is not None and connection.connected:
            with connection.lock:
                connection.flush()
                self._reset()
                self.collect()

    def collect(self) -> None:
        """Forget everything without a word to the broker."""
        if self.connection is not None:
            self.connection.channels.pop(self.channel_id, None)
        self.connection = None
        self.is_open = False
        self.consumers.clear()
        self.events.clear()
        self.no_ack_consumers.clear()

    # --- exchanges and queues

    def exchange_declare(
        self,
        exchange: str,
        type: str,  # noqa: A002  (py-amqp's name)
        passive: bool = False,
        durable: bool = False,
        auto_delete: bool = True,
        nowait: bool = False,
        arguments: dict[str, Any] | None = None,
    ) -> None:
        """Declare an exchange; `passive` only asks whether it is there."""
        with self._method(durable=True) as db:
            if passive:
                topology.find_exchange(db, exchange)
            else:
                flags = {"durable": bool(durable), "auto_delete": bool(auto_delete)}
                topology.declare_exchange(db, exchange, type, arguments or {}, **flags)

    def exchange_delete(self, exchange: str, if_unused: bool = False, nowait: bool = False) -> None:
        """Delete an exchange and its bindings."""
        with self._method(durable=True) as db:
            topology.delete_exchange(db, exchange, if_unused=if_unused)

    def queue_declare(
        self,
        queue: str = "",
        passive: bool = False,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = True,
        nowait: bool = False,
        arguments: dict[str, Any] | None = None,
    ) -> queue_declare_ok_t:
        """Declare a queue; its name, and how many ready messages and consumers it has."""
        connection = self._require_open()
        with connection.lock:
            connection.sweep()  # the dead are no consumers
            with self._method(durable=True) as db:
                holder = connection.holder
                if passive:
                    found = topology.find_queue(db, queue, holder)
                else:
                    found = topology.declare_queue(
                        db,
                        queue,
                        arguments or {},
                        durable=bool(durable),
                        auto_delete=bool(auto_delete),
                        owner=holder if exclusive else None,
                        holder=holder,
                    )
                return queue_declare_ok_t(found.name, *topology.count(db, found))

    def queue_bind(
        self,
        queue: str,
        exchange: str = "",
        routing_key: str = "",
        nowait: bool = False,
        arguments: dict[str, Any] | None = None,
    ) -> None:
        """Send what matches the key from the exchange to the queue."""
        with self._method(durable=True) as db:
            number = topology.find_queue(db, queue, self.connection.holder).id
            topology.find_exchange(db, exchange)
            if exchange:
                db.execute(
                    "INSERT OR IGNORE INTO binding VALUES (?, ?, ?)",
                    (exchange, routing_key, number),
                )

    def queue_unbind(
        self,
        queue: str,
        exchange: str,
        routing_key: str = "",
        nowait: bool = False,
        arguments: dict[str, Any] | None = None,
    ) -> None:
        """Take a binding back."""
        with self._method(durable=True) as db:
            db.execute(
                "DELETE FROM binding WHERE exchange = ? AND routing_key = ?"
                " AND queue = (SELECT id FROM queue WHERE name = ?)",
                (exchange, routing_key, queue),
            )

    def queue_delete(
        self,
        queue: str = "",
        if_unused: bool = False,
        if_empty: bool = False,
        nowait: bool = False,
    ) -> int:
        """Delete a queue; how many ready messages went with it. One that is not there is no error."""
        lost: list[int] = []
        with self._method(durable=True) as db:
            if not db.execute("SELECT 1 FROM queue WHERE name = ?", (queue,)).fetchone():
                return 0
            found = topology.find_queue(db, queue, self.connection.holder)
            messages, consumers = topology.count(db, found)
            if (if_unused and consumers) or (if_empty and messages):
                raise PreconditionFailed(
                    f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' is in use or not empty"
                )
            lost = topology.drop_queue(db, found.id)
        self.connection.ring(lost)
        return messages

    def queue_purge(self, queue: str = "", nowait: bool = False) -> int:
        """Drop all ready messages; how many."""
        with self._method(durable=True) as db:
            number = topology.find_queue(db, queue, self.connection.holder).id
            purged = db.execute("DELETE FROM message WHERE queue = ? AND holder = 0", (number,))
            return int(purged.rowcount)

    def prepare_queue_arguments(self, arguments: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Kombu's names for queue arguments as RabbitMQ's."""
        prepared: dict[str, Any] = base.to_rabbitmq_queue_arguments(arguments, **options)
        return prepared

    # --- publishing

    def prepare_message(
        self,
        body: str | bytes,
        priority: int | None = None,
        content_type: str | None = None,
        content_encoding: str | None = None,
        headers: dict[str, Any] | None = None,
        properties: dict[str, Any] | None = None,
    ) -> amqp.Message:
        """A message for `basic_publish`."""
        return amqp.Message(
            body,
            priority=priority,
            content_type=content_type,
            content_encoding=content_encoding,
            application_headers=headers,
            **properties or {},
        )

    def confirm_select(self, nowait: bool = False) -> None:
        """From now on publications are kept until the next drain, committed and then confirmed."""
        self._require_open()
        self._confirming = True

    def basic_publish(
        self,
        msg: amqp.Message,
        exchange: str = "",
        routing_key: str = "",
        mandatory: bool = False,
        immediate: bool = False,
        timeout: float | None = None,
        confirm_timeout: float | None = None,
    ) -> None:
        """Publish. Without confirms it is committed on return; NotFound: there is no such exchange."""
        connection = self._require_open()
        with connection.lock:
            tag = self._publish_tag = self._publish_tag + 1 if self._confirming else 0
            publication = Publication.of(msg, exchange, routing_key, bool(mandatory), tag)
            connection.post(self, publication)
            if not self._confirming:
                connection.flush()

    def on_ack(self, tag: int) -> None:
        """All publications up to `tag` that were not refused are in the file."""
        for callback in list(self.events["basic_ack"]):
            callback(tag, True)

    def on_nack(self, tag: int) -> None:
        """A full queue refused this one."""
        for callback in list(self.events["basic_nack"]):
            callback(tag, False)

    def on_return(self, publication: Publication) -> None:
        """A mandatory message had no queue to go to."""
        exchange, routing_key, _, _ = publication.row
        error = error_for_code(NO_ROUTE, "NO_ROUTE", RETURN, ChannelError)
        callbacks = list(self.events["basic_return"])
        if not callbacks:
            raise error
        for callback in callbacks:
            callback(error, exchange, routing_key, publication.message)

    # --- consuming

    def basic_qos(self, prefetch_size: int, prefetch_count: int, a_global: bool) -> None:
        """How many unacknowledged messages each consumer to come, or this channel, may have."""
        connection = self._require_open()
        with connection.lock:
            if a_global:
                self._prefetch_all = prefetch_count
            else:
                self._prefetch_each = prefetch_count
        connection.bell.ring(connection.holder)

    def capacity(self) -> int | None:
        """How many more messages the consumers of this channel may have together."""
        if not self._prefetch_all:
            return None
        return self._prefetch_all - sum(c.outstanding for c in self.consumers.values())

    def basic_consume(
        self,
        queue: str = "",
        consumer_tag: str = "",
        no_local: bool = False,
        no_ack: bool = False,
        exclusive: bool = False,
        nowait: bool = False,
        callback: Callable[[amqp.Message], Any] | None = None,
        arguments: dict[str, Any] | None = None,
        on_cancel: Callable[[str], Any] | None = None,
    ) -> str:
        """Start a consumer; its tag."""
        if exclusive or arguments:
            raise AMQPNotImplementedError(
                "the embedded broker has no exclusive or ranked consumers"
            )
        with self._method() as db:
            connection = self.connection
            found = topology.find_queue(db, queue, connection.holder)
            (number,) = db.execute(
                "INSERT INTO consumer (queue, holder) VALUES (?, ?) RETURNING id",
                (found.id, connection.holder),
            ).fetchone()
            self._consumer_numbers += 1
            tag = consumer_tag or f"ctag{self.channel_id}.{self._consumer_numbers}"
            self.consumers[tag] = Consumer(
                self, tag, number, found, callback, on_cancel, no_ack, self._prefetch_each
            )
            if no_ack:
                self.no_ack_consumers.add(tag)
        connection.bell.ring(connection.holder)
        return tag

    def basic_cancel(self, consumer_tag: str, nowait: bool = False) -> None:
        """Stop a consumer. What it has seen stays unacknowledged, what it has not goes back."""
        if self.connection is None or consumer_tag not in self.consumers:
            return
        with self._method() as db:
            consumer = self.consumers.pop(consumer_tag)
            self.no_ack_consumers.discard(consumer_tag)
            connection = self.connection
            connection.messages.undo_claim(connection.take_back([consumer]), connection.holder)
            holders.remove_consumers(db, [consumer.number])

    def on_cancel(self, consumer: Consumer) -> None:
        """The broker has stopped a consumer: its queue was deleted."""
        if self.consumers.pop(consumer.tag, None) is None:
            return
        self.no_ack_consumers.discard(consumer.tag)
        if consumer.on_cancel is None:
            raise ConsumerCancelled(consumer.tag, (60, 30))
        consumer.on_cancel(consumer.tag)

    def number(self, message: int, consumer: Consumer | None) -> int:
        """The next delivery tag, remembered unless nobody will acknowledge it."""
        self._delivery_tag += 1
        if consumer is None or not consumer.no_ack:
            self._unacked[self._delivery_tag] = (message, consumer)
        return self._delivery_tag

    def unpack(
        self, claimed: Claimed, delivery_tag: int, queue: topology.Queue, **info: Any
    ) -> amqp.Message:
        """The claimed message as py-amqp would deliver it."""
        properties = unpack_properties(claimed.properties)
        if queue.is_quorum and claimed.deliveries > 1:
            headers = properties.setdefault("application_headers", {})
            headers["x-delivery-count"] = claimed.deliveries - 1
        message = amqp.Message(claimed.body or "", channel=self, **properties)
        if self.auto_decode and message.body and "content_encoding" in properties:
            with contextlib.suppress(UnicodeDecodeError, LookupError):
                message.body = claimed.body.decode(properties["content_encoding"])
        message.delivery_info = {
            **info,
            "delivery_tag": delivery_tag,
            "redelivered": claimed.deliveries > 1,
            "exchange": claimed.exchange,
            "routing_key": claimed.routing_key,
        }
        return message

    def message_to_python(self, raw_message: amqp.Message) -> pyamqp.Message:
        """The message as kombu's class for messages of py-amqp."""
        return self.Message(raw_message, channel=self)

    def basic_get(self, queue: str = "", no_ack: bool = False) -> amqp.Message | None:
        """The oldest ready message, or None."""
        connection = self._require_open()
        with connection.lock:
            connection.sweep()
            with self._method() as db:
                found = topology.find_queue(db, queue, connection.holder)
                claimed = connection.messages.claim(found.id, connection.holder, 1)
                if no_ack:
                    connection.messages.remove([m.id for m in claimed], connection.holder)
                left, _ = topology.count(db, found)
            if not claimed:
                return None
            if no_ack:
                self._delivery_tag += 1
                tag = self._delivery_tag
            else:
                tag = self.number(claimed[0].id, None)
            return self.unpack(claimed[0], tag, found, message_count=left)

    def _settle(self, delivery_tag: int, multiple: bool) -> list[int]:
        """The messages of this tag, or of all up to it; they are outstanding no more."""
        if multiple:
            tags = [tag for tag in self._unacked if tag <= delivery_tag or not delivery_tag]
        else:
            tags = [delivery_tag] if delivery_tag in self._unacked else []
        if not tags and delivery_tag:
            raise PreconditionFailed(f"PRECONDITION_FAILED - unknown delivery tag {delivery_tag}")
        settled = [self._unacked.pop(tag) for tag in tags]
        for _, consumer in settled:
            if consumer is not None:
                consumer.outstanding -= 1
        return [number for number, _ in settled]

    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> None:
        """Done with this delivery, or with all up to it. PreconditionFailed: unknown tag."""
        with self._method():
            connection = self.connection
            connection.messages.remove(self._settle(delivery_tag, multiple), connection.holder)
        connection.bell.ring(connection.holder)  # there may be room for more

    def basic_reject(self, delivery_tag: int, requeue: bool) -> None:
        """Back to its old place in the queue, or dead. PreconditionFailed: unknown tag."""
        with self._method():
            connection = self.connection
            settled = self._settle(delivery_tag, multiple=False)
            if requeue:
                connection.messages.give_back(settled, connection.holder)
            else:
                connection.messages.bury(settled, "rejected")
        connection.bell.ring(connection.holder)
