"""A channel's methods for publishing, confirms and returns."""
# ruff: noqa: ARG002, PLR0917  (the signatures are py-amqp's)

from __future__ import annotations

from dataclasses import dataclass

import amqp
from amqp.exceptions import (
    AMQPNotImplementedError,
    ChannelError,
    MessageNacked,
    error_for_code,
)

from .base_channel import BaseChannel
from .messages import PackedMessage
from .wire_properties import pack_properties

NO_ROUTE = 312
TRANSIENT = 1
SHORT = 255
BASIC_RETURN = (60, 50)


@dataclass(frozen=True)
class BasicPublish:
    """A message to be written to the file. `tag` is 0 if it needs no confirm."""

    packed: PackedMessage
    mandatory: bool
    tag: int
    message: amqp.Message

    @property
    def is_transient(self) -> bool:
        """Whether it need not survive a power cut (delivery mode 1)."""
        return bool(self.message.properties.get("delivery_mode") == TRANSIENT)


class Publishing(BaseChannel):
    """Publishes at once, or after `confirm_select` in one transaction at the next drain."""

    def _forget(self) -> None:
        super()._forget()
        self.confirming = False
        self._tag = 0

    def confirm_select(self, nowait: bool = False) -> None:
        """From now on, each drain commits and then confirms what was published before it."""
        self._require_open()
        self.confirming = True

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
        """Publish. Without confirms, it is committed on return; raises a fault of the message.

        RabbitMQ would report that only with its next answer, which a publisher may never read.
        """
        connection = self._require_open()
        if connection.confirm_publish:
            self.basic_publish_confirm(msg, exchange, routing_key, mandatory, immediate)
            return
        with connection.using():
            self._send(msg, exchange, routing_key, mandatory=mandatory, immediate=immediate)
            if not self.confirming:
                connection.flush()

    def basic_publish_confirm(
        self,
        msg: amqp.Message,
        exchange: str = "",
        routing_key: str = "",
        mandatory: bool = False,
        immediate: bool = False,
        timeout: float | None = None,
        confirm_timeout: float | None = None,
    ) -> None:
        """Publish, and return once it is confirmed. Raises `MessageNacked` if it is refused.

        With kombu's transport option `confirm_publish`, `basic_publish` is the same.
        """
        connection = self._require_open()
        with connection.using():
            self.confirming = True
            self._send(msg, exchange, routing_key, mandatory=mandatory, immediate=immediate)
            tag = self._tag
            connection.flush()
            answers = connection.take_answers(self)
        nacked: list[int] = []

        def note(tag: int, _: bool) -> None:
            nacked.append(tag)

        self.events["basic_nack"].add(note)
        try:
            for answer in answers:
                answer()
        finally:
            self.events["basic_nack"].discard(note)
        if tag in nacked:
            raise MessageNacked

    def _send(
        self,
        msg: amqp.Message,
        exchange: str,
        routing_key: str,
        *,
        mandatory: bool,
        immediate: bool,
    ) -> None:
        if immediate:
            raise AMQPNotImplementedError("NOT_IMPLEMENTED - immediate=true")
        tag = self._tag + 1 if self.confirming else 0
        packed = PackedMessage(_short(exchange), _short(routing_key), *_packed(msg))
        self._tag = tag
        publication = BasicPublish(packed, bool(mandatory), tag, msg)
        self._require_open().outgoing.append((self, publication))

    def on_ack(self, tag: int) -> None:
        """Confirm all publications up to `tag` that were not refused."""
        for callback in list(self.events["basic_ack"]):
            callback(tag, True)

    def on_nack(self, tag: int) -> None:
        """Report that this publication was refused, mostly by a full queue."""
        for callback in list(self.events["basic_nack"]):
            callback(tag, False)

    def on_return(self, publication: BasicPublish) -> None:
        """Return a mandatory message that was routed to no queue."""
        packed = publication.packed
        error = error_for_code(NO_ROUTE, "NO_ROUTE", BASIC_RETURN, ChannelError)
        callbacks = list(self.events["basic_return"])
        if not callbacks:
            raise error
        for callback in callbacks:
            callback(error, packed.exchange, packed.routing_key, publication.message)


def _short(text: str | None) -> str:
    """As AMQP's short strings. Raises `ValueError` for one that does not fit."""
    if not isinstance(text or "", str) or len((text or "").encode()) > SHORT:
        raise ValueError(f"expected a text of at most {SHORT} bytes, got {text!r}")
    return text or ""


def _packed(message: amqp.Message) -> tuple[bytes, bytes]:
    """Properties and body as py-amqp sends them. Raises py-amqp's errors."""
    body = message.body
    if isinstance(body, str):
        body = body.encode(message.properties.setdefault("content_encoding", "utf-8"))
    return pack_properties(message.properties), bytes(body)
