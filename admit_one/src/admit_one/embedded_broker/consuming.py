"""A channel's methods for consumers, deliveries and acknowledgements."""
# ruff: noqa: ARG002, PLR0917  (the signatures are py-amqp's)

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import amqp
from amqp.exceptions import (
    AMQPNotImplementedError,
    ConsumerCancelled,
    NotAllowed,
    PreconditionFailed,
)

from . import entities, holders
from .base_channel import BaseChannel
from .messages import Claimed
from .wire_properties import unpack_properties

BASIC_CANCEL = (60, 30)
UNLIMITED = 65_535


@dataclass(eq=False)
class Consumer:
    """One consumer. `number` is its row, `outstanding` its count of unacknowledged messages."""

    channel: Consuming
    tag: str
    number: int
    queue: entities.Queue
    callback: Callable[[amqp.Message], Any] | None
    on_cancel: Callable[[str], Any] | None
    no_ack: bool
    prefetch: int
    outstanding: int = 0

    def capacity(self) -> int:
        """How many more messages it may be given."""
        if self.no_ack:
            return 1  # a claim deletes them, so claim no more than is delivered at once
        own = self.prefetch - self.outstanding if self.prefetch else UNLIMITED
        return min(own, self.channel.capacity())

    def delivery(self, claimed: Claimed) -> Callable[[], None]:
        """A call that hands the claimed message, with its tag, to the callback."""
        tag = self.channel.next_tag(claimed, self)
        message = self.channel.unpack(claimed, self.queue, delivery_tag=tag, consumer_tag=self.tag)
        return partial(self.callback, message) if self.callback else lambda: None


class Consuming(BaseChannel):
    """Takes messages and acknowledges them."""

    auto_decode = True
    """Whether a body that names its encoding is given as text, as py-amqp does."""

    def _forget(self) -> None:
        super()._forget()
        self.consumers: dict[str, Consumer] = {}
        self._unacked: dict[int, tuple[int, Consumer | None]] = {}
        self._delivery_tag = 0
        self._prefetch_each = 0
        self._prefetch_all = 0
        self._started = 0

    @property
    def no_ack_consumers(self) -> set[str]:
        """The tags of consumers whose messages need no ack; kombu reads it."""
        return {tag for tag, consumer in self.consumers.items() if consumer.no_ack}

    def _release(self, db: sqlite3.Connection) -> None:
        connection = self._require_open()
        connection.release_undelivered(self.consumers.values())
        connection.messages.requeue(
            [number for number, _ in self._unacked.values()], connection.holder
        )
        holders.remove_consumers(db, [consumer.number for consumer in self.consumers.values()])

    def basic_qos(self, prefetch_size: int, prefetch_count: int, a_global: bool) -> None:
        """Limit the unacknowledged messages of each future consumer, or of the whole channel."""
        if prefetch_size:
            raise AMQPNotImplementedError(f"NOT_IMPLEMENTED - prefetch_size!=0 ({prefetch_size})")
        if not 0 <= prefetch_count <= UNLIMITED:
            raise ValueError(f"expected a prefetch count from 0 to 65535, got {prefetch_count}")
        connection = self._require_open()
        with connection.using():
            if a_global:
                self._prefetch_all = prefetch_count
            else:
                self._prefetch_each = prefetch_count
            connection.look_again()

    def capacity(self) -> int:
        """How many more messages the consumers of this channel may have together."""
        if not self._prefetch_all:
            return UNLIMITED
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
        """Start a consumer; returns its tag. Raises `NotFound` or `AMQPNotImplementedError`."""
        if exclusive or arguments:
            raise AMQPNotImplementedError(
                "expected a plain consumer, got exclusive or arguments: "
                "the embedded broker supports no others"
            )
        if consumer_tag in self.consumers:
            raise NotAllowed(f"NOT_ALLOWED - attempt to reuse consumer tag '{consumer_tag}'")
        with self._method() as (connection, db):
            source = entities.find_queue(db, queue, connection.holder)
            number = holders.add_consumer(db, source.id, connection.holder)
            self._started += 1
            tag = consumer_tag or f"ctag{self.channel_id}.{self._started}"
            self.consumers[tag] = Consumer(
                self, tag, number, source, callback, on_cancel, no_ack, self._prefetch_each
            )
            connection.look_again()
            return tag

    def basic_cancel(self, consumer_tag: str, nowait: bool = False) -> None:
        """Stop a consumer. What it has seen stays unacknowledged; the rest goes back."""
        if self.connection is None or consumer_tag not in self.consumers:
            return
        with self._method() as (connection, db):
            consumer = self.consumers.pop(consumer_tag)
            connection.release_undelivered([consumer])
            holders.remove_consumers(db, [consumer.number])

    def on_cancel(self, consumer: Consumer) -> None:
        """Called when a consumer's queue was deleted, which stops it."""
        if self.consumers.get(consumer.tag) is not consumer:
            return
        del self.consumers[consumer.tag]
        if consumer.on_cancel is None:
            raise ConsumerCancelled(consumer.tag, BASIC_CANCEL)
        consumer.on_cancel(consumer.tag)

    def next_tag(self, claimed: Claimed, consumer: Consumer | None, *, no_ack: bool = False) -> int:
        """The next delivery tag, remembered unless it needs no ack."""
        self._delivery_tag += 1
        if not (no_ack or (consumer and consumer.no_ack)):
            self._unacked[self._delivery_tag] = (claimed.id, consumer)
        return self._delivery_tag

    def unpack(self, claimed: Claimed, queue: entities.Queue, **info: Any) -> amqp.Message:
        """The claimed message as py-amqp would deliver it."""
        properties = unpack_properties(claimed.properties)
        if queue.is_quorum and claimed.deliveries > 1:
            headers = properties.setdefault("application_headers", {})
            headers["x-delivery-count"] = claimed.deliveries - 1
        body: str | bytes = claimed.body or ""  # py-amqp gives an empty body as text
        if self.auto_decode and claimed.body and "content_encoding" in properties:
            with contextlib.suppress(UnicodeDecodeError, LookupError):
                body = claimed.body.decode(properties["content_encoding"])
        message = amqp.Message(body, channel=self, **properties)
        message.delivery_info = {
            **info,
            "redelivered": claimed.deliveries > 1,
            "exchange": claimed.exchange,
            "routing_key": claimed.routing_key,
        }
        return message

    def basic_get(self, queue: str = "", no_ack: bool = False) -> amqp.Message | None:
        """The oldest ready message, or None."""
        connection = self._require_open()
        with connection.using():
            connection.sweep()
            with self._method() as (_, db):
                source = entities.find_queue(db, queue, connection.holder)
                entities.mark_used(db, source.id)
                claimed = connection.messages.claim(source.id, connection.holder, 1)
                if no_ack:
                    connection.messages.remove([m.id for m in claimed], connection.holder)
                left, _ = entities.count(db, source)
            if not claimed:
                return None
            tag = self.next_tag(claimed[0], None, no_ack=no_ack)
            return self.unpack(claimed[0], source, delivery_tag=tag, message_count=left)

    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> None:
        """Acknowledge this delivery, or all up to it. Raises `PreconditionFailed`: unknown tag."""
        with self._method() as (connection, _):
            connection.messages.remove(self._pop_unacked(delivery_tag, multiple), connection.holder)
            connection.look_again()

    def basic_reject(self, delivery_tag: int, requeue: bool) -> None:
        """Requeue a delivery, or dead-letter it. Raises `PreconditionFailed`: unknown tag."""
        with self._method() as (connection, _):
            messages = self._pop_unacked(delivery_tag, multiple=False)
            if requeue:
                connection.messages.requeue(messages, connection.holder)
            else:
                connection.messages.dead_letter(messages, "rejected")
            connection.look_again()

    def basic_recover(self, requeue: bool = False) -> None:
        """Requeue everything unacknowledged, whatever `requeue` is."""
        with self._method() as (connection, _):
            connection.messages.requeue(self._pop_unacked(0, multiple=True), connection.holder)
            connection.look_again()

    def _pop_unacked(self, delivery_tag: int, multiple: bool) -> list[int]:
        """Remove this tag, or all up to it (0: all), from the unacked; returns the message ids."""
        if multiple:
            tags = [tag for tag in self._unacked if tag <= delivery_tag or not delivery_tag]
        else:
            tags = [delivery_tag] if delivery_tag in self._unacked else []
        if not tags and delivery_tag:
            raise PreconditionFailed(f"PRECONDITION_FAILED - unknown delivery tag {delivery_tag}")
        acknowledged = [self._unacked.pop(tag) for tag in tags]
        for _, consumer in acknowledged:
            if consumer is not None:
                consumer.outstanding -= 1
        return [number for number, _ in acknowledged]
