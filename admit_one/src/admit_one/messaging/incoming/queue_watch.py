"""Whether a queue is really served: a consumer to whom nothing comes asks why.

RabbitMQ reports it when it ends a consumer, if the connection works and the server does. This finds
the rest: messages wait, there is room for them, and none is delivered.
"""

from __future__ import annotations

import time
from typing import Any

from amqp.exceptions import AMQPError

LOOK_EVERY = 10.0
"""Seconds without a message before the first question, and between two."""


class StandsStill(AMQPError):
    """The broker does not deliver what it has: a new connection is to be made."""


class QueueWatch:
    """Watches one consumed queue over the consumer's own channel; costs nothing while it flows."""

    def __init__(self, channel: Any, queue: str) -> None:
        self._channel = channel
        self._queue = queue
        self.taken()

    def taken(self) -> None:
        """Something was delivered."""
        self._next_look = time.monotonic() + LOOK_EVERY
        self._waited = False

    def look(self) -> None:
        """Call it when nothing is in hand. Raises `StandsStill`, or one of `BROKER_ERRORS`."""
        if time.monotonic() < self._next_look:
            return
        waited = self._waited
        # `taken` reports what is delivered meanwhile, and resets what is measured here.
        declared = self._channel.queue_declare(self._queue, passive=True)
        self._next_look = time.monotonic() + LOOK_EVERY
        self._waited = declared.message_count > 0
        if not declared.consumer_count:
            raise StandsStill(f"the broker knows of no consumer of {self._queue} any more")
        if waited and self._waited:
            raise StandsStill(
                f"{declared.message_count} messages wait in {self._queue} and none is delivered"
            )
