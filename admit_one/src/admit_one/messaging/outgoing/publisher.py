"""Publishes batches of messages, and collects the broker's answer for each."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, NamedTuple

from amqp.exceptions import AMQPError
from kombu import Connection

from admit_one.contract.envelope import CONTENT_TYPE
from admit_one.messaging.broker import amqp_patches
from admit_one.messaging.broker.connection import channel_of
from admit_one.messaging.peers import SIGNATURE

SHORTSTR = 255
"""Bytes of an AMQP short string. An envelope's names may have as many characters."""


class Outgoing(NamedTuple):
    """One message to publish. `key` identifies it to the caller; `timestamp` is Unix time."""

    key: int
    message_id: str
    type: str
    subject: str
    timestamp: int
    body: bytes
    signature: str = ""


@dataclass
class BrokerAnswers:
    """What the broker answered for each message of a batch, by key."""

    confirmed: set[int] = field(default_factory=set)
    returned: dict[int, str] = field(default_factory=dict)
    """Messages that reached no queue, with the broker's reason."""
    refused: set[int] = field(default_factory=set)


class ConfirmsMissing(AMQPError):
    """The broker did not confirm a batch in time."""


class Publisher:
    """Publishes batches to one exchange: all in flight at once, every confirm and return awaited.

    After any error, drop the connection: late confirms would be taken for those of later messages.
    """

    def __init__(self, connection: Connection, exchange: str, app_id: str) -> None:
        self._connection = connection
        self._exchange = exchange
        self._app_id = app_id
        self._channel = channel_of(connection)
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_nack)
        self._channel.events["basic_return"].add(self._on_return)
        self._last_tag = 0
        self._waiting: dict[int, Outgoing] = {}
        self._keys: dict[str, int] = {}
        self._answers = BrokerAnswers()

    def publish(self, batch: Sequence[Outgoing], timeout: float) -> BrokerAnswers:
        """Send `batch`; returns when the broker has answered for each message.

        Raises `ConfirmsMissing` after `timeout` seconds, or one of `BROKER_ERRORS`.
        """
        deadline = time.monotonic() + timeout
        self.send(batch)
        while self._waiting:
            left = deadline - time.monotonic()
            if left <= 0:
                missing = len(self._waiting)
                raise ConfirmsMissing(f"{missing} of {len(batch)} messages not confirmed in time")
            with suppress(TimeoutError):
                self._connection.drain_events(timeout=min(left, 1.0))
        return self._answers

    def send(self, batch: Sequence[Outgoing]) -> None:
        """Write `batch` to the broker, and await no answer. Raises one of `BROKER_ERRORS`."""
        self._answers = BrokerAnswers()
        self._keys = {_short(message.message_id): message.key for message in batch}
        with self._gathered():
            for message in batch:
                self._send(message)

    def _gathered(self) -> AbstractContextManager[None]:
        if self._connection.transport.driver_type != "amqp":
            return nullcontext()  # the embedded broker batches by itself
        return amqp_patches.gathered_writes(self._connection.connection.transport)

    def _send(self, message: Outgoing) -> None:
        prepared = self._channel.prepare_message(
            message.body,
            content_type=CONTENT_TYPE,
            content_encoding="utf-8",
            headers={SIGNATURE: message.signature} if message.signature else None,
            properties={
                "message_id": _short(message.message_id),
                "type": message.type,
                "app_id": self._app_id,
                "timestamp": message.timestamp,
                "correlation_id": _short(message.subject),
                "delivery_mode": 2,
            },
        )
        # Before the publish: a return may be read while the next message is being written.
        self._last_tag += 1
        self._waiting[self._last_tag] = message
        self._channel.basic_publish(
            prepared, exchange=self._exchange, routing_key=message.type, mandatory=True
        )

    def _on_ack(self, tag: int, multiple: bool) -> None:
        for message in self._answered(tag, multiple):
            if message.key not in self._answers.returned:
                self._answers.confirmed.add(message.key)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        self._answers.refused.update(m.key for m in self._answered(tag, multiple))

    def _on_return(self, error: Exception, _exchange: str, _key: str, message: Any) -> None:
        key = self._keys.get(message.properties.get("message_id", ""))
        if key is not None:
            self._answers.returned[key] = str(error)

    def _answered(self, tag: int, multiple: bool) -> Iterator[Outgoing]:
        tags = list(takewhile(lambda t: t <= tag, self._waiting)) if multiple else [tag]
        for answered in tags:
            message = self._waiting.pop(answered, None)
            if message is not None:
                yield message


def _short(text: str) -> str:
    """As much of `text` as a property takes; the body has all of it."""
    return text.encode()[:SHORTSTR].decode(errors="ignore")
