"""The broker, as somebody listens and speaks there who is neither service."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from admit_one.contract.envelope import CONTENT_TYPE, Envelope
from kombu import Connection
from shared_contracts.topology import TOPOLOGY

from admit_one import embedded_broker  # noqa: F401  (makes sqlite:////path a broker URL)

Message = Mapping[str, Any]


class Wire:
    """A connection of one's own, with a queue of one's own that hears every event."""

    def __init__(self, connection: Connection, prefix: str) -> None:
        channel: Any = connection.channel()
        self._channel = channel
        self._connection = connection
        self._prefix = prefix
        self._heard: list[Message] = []
        queue = f"{prefix}listener.{secrets.token_hex(4)}"
        channel.queue_declare(queue, exclusive=True, auto_delete=True)
        for service in TOPOLOGY.values():
            exchange = service.exchange(prefix)
            channel.exchange_declare(exchange, type="direct", durable=True, auto_delete=False)
            for event in service.publishes:
                channel.queue_bind(queue, exchange, event.type)
        channel.basic_consume(queue, no_ack=True, callback=self._hear)

    def heard(self, subject: str = "", kind: str = "") -> list[Message]:
        """The events so far, in order: of one subscription, of one type, or all."""
        try:
            while True:
                self._connection.drain_events(timeout=0.001)
        except TimeoutError:
            pass
        return [
            message
            for message in self._heard
            if subject in {"", message["subject"]} and kind in {"", message["type"]}
        ]

    def listen_until(self, count: int, within: float = 30.0) -> None:
        """Returns as soon as so many events were heard. Raises `TimeoutError`."""
        deadline = time.monotonic() + within
        while len(self._heard) < count:
            self._connection.drain_events(timeout=max(0.001, deadline - time.monotonic()))

    def say(self, envelope: Envelope[Any]) -> None:
        """Publish an event on the exchange of its producer."""
        prepared = self._channel.prepare_message(
            envelope.to_json(),
            content_type=CONTENT_TYPE,
            content_encoding="utf-8",
            properties={"delivery_mode": 2},
        )
        exchange = TOPOLOGY[envelope.data.producer].exchange(self._prefix)
        self._channel.basic_publish(prepared, exchange, envelope.type)

    def _hear(self, message: Any) -> None:
        body = message.body
        self._heard.append(json.loads(bytes(body) if isinstance(body, memoryview) else body))


@contextmanager
def listening(url: str, prefix: str) -> Iterator[Wire]:
    """Hear everything that is said from now on."""
    with Connection(url) as connection:
        yield Wire(connection, prefix)
