"""Publications, their confirms and their returns: the second chapter of a channel's methods."""
# ruff: noqa: ARG002, PLR0917  (the signatures are py-amqp's)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import amqp
from amqp.exceptions import ChannelError, error_for_code

from .messages import Letter
from .plumbing import Plumbing
from .wire_properties import pack_properties

NO_ROUTE = 312
TRANSIENT = 1
BASIC_RETURN = (60, 50)


@dataclass(frozen=True)
class Publication:
    """A message on its way into the file. `tag` is 0 where nobody waits for a confirm."""

    letter: Letter
    mandatory: bool
    tag: int
    message: amqp.Message

    @property
    def is_transient(self) -> bool:
        """Whether the publisher says it need not survive a power cut (delivery mode 1)."""
        return bool(self.message.properties.get("delivery_mode") == TRANSIENT)

    @classmethod
    def of(
        cls, message: amqp.Message, exchange: str, routing_key: str, *, mandatory: bool, tag: int
    ) -> Publication:
        """Pack the message as py-amqp does; what cannot be packed is the publisher's error."""
        body = message.body
        if isinstance(body, str):
            body = body.encode(message.properties.setdefault("content_encoding", "utf-8"))
        properties = pack_properties(message.properties)
        letter = Letter(exchange, routing_key, properties, bytes(body))
        return cls(letter, mandatory, tag, message)


class Publishing(Plumbing):
    """Publishes at once, or after `confirm_select` in one transaction at the next drain."""

    def _forget(self) -> None:
        super()._forget()
        self.confirming = False
        self._tag = 0

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
        """Publish. Without confirms it is committed on return, or NotFound: no such exchange.

        RabbitMQ would say so only with its next answer, which a publisher may never read.
        """
        connection = self._require_open()
        with connection.using():
            tag = self._tag + 1 if self.confirming else 0
            publication = Publication.of(
                msg, exchange, routing_key, mandatory=bool(mandatory), tag=tag
            )
            self._tag = tag
            connection.post(self, publication)
            if not self.confirming:
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
        letter = publication.letter
        error = error_for_code(NO_ROUTE, "NO_ROUTE", BASIC_RETURN, ChannelError)
        callbacks = list(self.events["basic_return"])
        if not callbacks:
            raise error
        for callback in callbacks:
            callback(error, letter.exchange, letter.routing_key, publication.message)
