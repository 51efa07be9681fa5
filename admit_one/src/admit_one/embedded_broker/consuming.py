"""Consumers, deliveries and what becomes of them: the third chapter of a channel's methods."""
# ruff: noqa: ARG002, PLR0917  (the signatures are py-amqp's)

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import amqp
from amqp.exceptions import AMQPNotImplementedError, ConsumerCancelled, PreconditionFailed

from . import entities, holders
from .messages import Claimed
from .plumbing import Plumbing
from .wire_properties import unpack_properties

BASIC_CANCEL = (60, 30)
UNLIMITED = 65_535


@dataclass(eq=False)
class Consumer:
    """Who takes messages from a queue. `number` is its row, `outstanding` what it has in hand."""

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
            return 1  # they are gone once taken: not one more than can be handed over
        own = self.prefetch - self.outstanding if self.prefetch else UNLIMITED
        return min(own, self.channel.capacity())

    def delivery(self, claimed: Claimed) -> Callable[[], None]:
        """The claimed message with its tag, ready to be handed over by a call."""
        tag = self.channel.next_tag(claimed, self)
        message = self.channel.unpack(claimed, self.queue, delivery_tag=tag, consumer_tag=self.tag)
        return partial(self.callback, message) if self.callback else lambda: None


class Consuming(Plumbing):
    """Takes messages and answers for them."""

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
        """The tags of consumers whose messages need no ack; kombu asks."""
        return {tag for tag, consumer in self.consumers.items() if consumer.no_ack}

    def _give_up(self, db: sqlite3.Connection) -> None:
        connection = self._require_open()
        connection.take_back(self.consumers.values())
        connection.messages.give_back(
            [number for number, _ in self._unacked.values()], connection.holder
        )
        holders.remove_consumers(db, [consumer.number for consumer in self.consumers.values()])

    def basic_qos(self, prefetch_size: int, prefetch_count: int, a_global: bool) -> None:
        """How many unacknowledged messages each consumer to come, or this channel, may have."""
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
        """Start a consumer; its tag. NotFound: no such queue. 540: an option we do not have."""
        if exclusive or arguments:
            raise AMQPNotImplementedError(
                "expected a plain consumer, got exclusive or arguments: "
                "the embedded broker has no other"
            )
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
        """Stop a consumer. What it has seen stays unacknowledged, what it has not goes back."""
        if self.connection is None or consumer_tag not in self.consumers:
            return
        with self._method() as (connection, db):
            consumer = self.consumers.pop(consumer_tag)
            connection.take_back([consumer])
            holders.remove_consumers(db, [consumer.number])

    def on_cancel(self, consumer: Consumer) -> None:
        """The broker has stopped a consumer: its queue was deleted."""
        if self.consumers.get(consumer.tag) is not consumer:
            return
        del self.consumers[consumer.tag]
        if consumer.on_cancel is None:
            raise ConsumerCancelled(consumer.tag, BASIC_CANCEL)
        consumer.on_cancel(consumer.tag)

    def next_tag(self, claimed: Claimed, consumer: Consumer | None, *, no_ack: bool = False) -> int:
        """The next delivery tag, remembered unless nobody will acknowledge it."""
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
        """Done with this delivery, or with all up to it. PreconditionFailed: unknown tag."""
        with self._method() as (connection, _):
            connection.messages.remove(self._take_off(delivery_tag, multiple), connection.holder)
            connection.look_again()

    def basic_reject(self, delivery_tag: int, requeue: bool) -> None:
        """Back to its old place in the queue, or dead. PreconditionFailed: unknown tag."""
        with self._method() as (connection, _):
            messages = self._take_off(delivery_tag, multiple=False)
            if requeue:
                connection.messages.give_back(messages, connection.holder)
            else:
                connection.messages.bury(messages, "rejected")
            connection.look_again()

    def basic_recover(self, requeue: bool = False) -> None:
        """All that is unacknowledged goes back into its queues (there is no other kind)."""
        with self._method() as (connection, _):
            connection.messages.give_back(self._take_off(0, multiple=True), connection.holder)
            connection.look_again()

    def _take_off(self, delivery_tag: int, multiple: bool) -> list[int]:
        """The messages of this tag, or of all up to it (0: all); they are outstanding no more."""
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
