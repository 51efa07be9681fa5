"""A stranger's line to the broker: it hears all events, and what is said on it is confirmed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from admit_one.contract.envelope import CONTENT_TYPE
from kombu import Connection
from shared_contracts.topology import TOPOLOGY

from admit_one import embedded_broker  # noqa: F401  (makes sqlite:////path a broker URL)

ANSWER_SECONDS = 3.0
ROUTES = {"payment_service": "user_subscribed", "student_service": "access_code_created"}
"""A routing key of each: all of them lead to the queue of the other."""


class Line:
    """One connection, with a queue of its own that hears all events, and confirms."""

    def __init__(self, connection: Connection, prefix: str, hear: Callable[[bytes], None]) -> None:
        self._connection = connection
        self._prefix = prefix
        self._hear = hear
        channel: Any = connection.channel()
        channel.auto_decode = False
        queue = f"stranger.{uuid.uuid4()}"
        channel.queue_declare(queue, exclusive=True, auto_delete=True)
        for service in TOPOLOGY.values():
            for event in service.publishes:
                channel.queue_bind(queue, service.exchange(prefix), event.type)
        channel.basic_consume(queue, no_ack=True, callback=self._heard)
        out: Any = connection.channel()
        out.confirm_select()
        out.events["basic_ack"].add(self._acked)
        self._out = out
        self._confirms = 0

    def listen(self) -> None:
        """Hear what has arrived."""
        try:
            while True:
                self._connection.drain_events(timeout=0.001)
        except TimeoutError:
            pass

    def say(self, producer: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Publish as `producer` would, and wait for the confirm.

        Raises what a broker that is away raises.
        """
        message = self._out.prepare_message(
            body,
            content_type=CONTENT_TYPE,
            content_encoding="utf-8",
            headers=dict(headers),
            properties={"delivery_mode": 2},
        )
        before, deadline = self._confirms, time.monotonic() + ANSWER_SECONDS
        exchange = f"{self._prefix}{producer}.events"
        self._out.basic_publish(message, exchange, ROUTES[producer])
        while self._confirms == before:
            left = deadline - time.monotonic()
            if left <= 0:
                raise ConnectionError("the broker did not confirm")
            try:
                self._connection.drain_events(timeout=left)
            except TimeoutError:
                continue

    def _acked(self, *_: Any) -> None:
        self._confirms += 1

    def _heard(self, message: Any) -> None:
        # Our own poison is heard as well: only what a service has said has its properties.
        if message.properties.get("app_id") in TOPOLOGY:
            self._hear(bytes(message.body))


def connected(url: str) -> Connection:
    """A connection on which no wait is endless."""
    waits = {"read_timeout": ANSWER_SECONDS, "write_timeout": ANSWER_SECONDS}
    options = {} if url.startswith("sqlite") else waits
    return Connection(url, connect_timeout=2, transport_options=options)
