"""Notices that the broker no longer delivers to a consumer.

Usually RabbitMQ reports that it has cancelled a consumer. This notices the other cases: messages
wait, the consumer has room for them, and none is delivered.
"""

from __future__ import annotations

import time
from typing import Any

from amqp.exceptions import AMQPError

LOOK_EVERY = 10.0
"""Seconds without a message before the first look, and between two."""


class DeliveryStalled(AMQPError):
    """The broker does not deliver what it has; a new connection is needed."""


class QueueWatch:
    """Watches one consumed queue over the consumer's own channel; costs nothing while it flows."""

    def __init__(self, channel: Any, queue: str) -> None:
        self._channel = channel
        self._queue = queue
        self.delivered()

    def delivered(self) -> None:
        """Call it when something was delivered."""
        self._next_look = time.monotonic() + LOOK_EVERY
        self._waited = False

    def look(self) -> None:
        """Call it when no message is held. Raises `DeliveryStalled`, or one of `BROKER_ERRORS`."""
        if time.monotonic() < self._next_look:
            return
        waited = self._waited
        # If something is delivered meanwhile, the caller's `delivered` resets what is set here.
        declared = self._channel.queue_declare(self._queue, passive=True)
        self._next_look = time.monotonic() + LOOK_EVERY
        self._waited = declared.message_count > 0
        if not declared.consumer_count:
            raise DeliveryStalled(f"the broker no longer has a consumer of {self._queue}")
        if waited and self._waited:
            raise DeliveryStalled(
                f"{declared.message_count} messages wait in {self._queue} and none is delivered"
            )
