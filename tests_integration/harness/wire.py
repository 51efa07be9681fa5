"""A connection to the broker that receives every event, and publishes with confirms."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from admit_one.contract.envelope import CONTENT_TYPE, Envelope
from kombu import Connection
from shared_contracts.topology import TOPOLOGY

from admit_one import embedded_broker  # noqa: F401  (makes sqlite:////path a broker URL)

from .wire_keys import WireKeys

Message = Mapping[str, Any]

CONFIRM_SECONDS = 3.0


class Wire:
    """One connection with its own queue; `receive` is called with each event of a service."""

    def __init__(
        self, connection: Connection, prefix: str, receive: Callable[[bytes], None]
    ) -> None:
        self._connection = connection
        self._prefix = prefix
        self._receive = receive
        channel: Any = connection.channel()
        channel.auto_decode = False
        queue = f"{prefix}third-party.{secrets.token_hex(4)}"
        channel.queue_declare(queue, exclusive=True, auto_delete=True)
        for service in TOPOLOGY.values():
            exchange = service.exchange(prefix)
            channel.exchange_declare(exchange, type="direct", durable=True, auto_delete=False)
            for event in service.publishes:
                channel.queue_bind(queue, exchange, event.type)
        channel.basic_consume(queue, no_ack=True, callback=self._received)
        out: Any = connection.channel()
        out.confirm_select()
        out.events["basic_ack"].add(self._confirmed)
        self._out = out
        self._confirms = 0

    def listen(self) -> None:
        """Receive what has arrived, without waiting for more."""
        try:
            while True:
                self._connection.drain_events(timeout=0.001)
        except TimeoutError:
            pass

    def publish(
        self, producer: str, routing_key: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        """Publish on the exchange of `producer`, and wait for the confirm."""
        message = self._out.prepare_message(
            body,
            content_type=CONTENT_TYPE,
            content_encoding="utf-8",
            headers=dict(headers or {}),
            properties={"delivery_mode": 2},
        )
        before, deadline = self._confirms, time.monotonic() + CONFIRM_SECONDS
        exchange = TOPOLOGY[producer].exchange(self._prefix)
        self._out.basic_publish(message, exchange, routing_key)
        while self._confirms == before:
            left = deadline - time.monotonic()
            if left <= 0:
                raise ConnectionError("the broker did not confirm")
            try:
                self._connection.drain_events(timeout=left)
            except TimeoutError:
                continue

    def _confirmed(self, *_: Any) -> None:
        self._confirms += 1

    def _received(self, message: Any) -> None:
        # Events of third parties arrive here as well; only a service sets this property.
        if message.properties.get("app_id") in TOPOLOGY:
            self._receive(bytes(message.body))


class EventRecorder(Wire):
    """A wire that records what it receives, with its values in clear."""

    def __init__(self, connection: Connection, prefix: str, keys: WireKeys) -> None:
        self._history: list[Message] = []
        super().__init__(
            connection,
            prefix,
            lambda body: self._history.append(keys.opened(json.loads(body))),
        )

    def received(self, subject: str = "", kind: str = "") -> list[Message]:
        """The events so far, in order; optionally of one subject or type."""
        self.listen()
        return [
            message
            for message in self._history
            if subject in {"", message["subject"]} and kind in {"", message["type"]}
        ]

    def listen_until(self, count: int, within: float = 30.0) -> None:
        """Wait for `count` events. Raises `TimeoutError`."""
        deadline = time.monotonic() + within
        while len(self._history) < count:
            self._connection.drain_events(timeout=max(0.001, deadline - time.monotonic()))

    def publish_event(self, envelope: Envelope[Any]) -> None:
        """Publish an event as its producer does."""
        self.publish(envelope.data.producer, envelope.type, envelope.to_json())


def connect(url: str) -> Connection:
    """A connection with timeouts."""
    waits = {"read_timeout": CONFIRM_SECONDS, "write_timeout": CONFIRM_SECONDS}
    options = {} if url.startswith("sqlite") else waits
    return Connection(url, connect_timeout=2, transport_options=options)


@contextmanager
def listening(url: str, prefix: str, keys: WireKeys) -> Iterator[EventRecorder]:
    """Receive every event from now on."""
    with connect(url) as connection:
        yield EventRecorder(connection, prefix, keys)
