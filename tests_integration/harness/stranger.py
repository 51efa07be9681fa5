"""Another team's program: pika, JSON and docs/events.md, and nothing of ours."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pika
from pika.adapters.blocking_connection import BlockingChannel

Event = dict[str, Any]


class Stranger:
    """Asks for access codes as docs/events.md says, and hears the answers on its own queue."""

    def __init__(self, channel: BlockingChannel, prefix: str) -> None:
        self._channel = channel
        self._requests = f"{prefix}payment_service.events"
        self._queue = f"{prefix}stranger.{uuid.uuid4()}"
        self._heard: list[tuple[pika.BasicProperties, Event]] = []
        channel.confirm_delivery()
        channel.queue_declare(self._queue, exclusive=True)
        channel.queue_bind(self._queue, f"{prefix}student_service.events", "access_code_created")

    def ask(self, event: Event) -> None:
        """Send an event in good order."""
        self.send(json.dumps(event).encode(), event["type"])

    def send(self, body: bytes, key: str = "user_subscribed", **properties: Any) -> None:
        """Send any bytes; the broker confirms that a queue has them."""
        self._channel.basic_publish(
            self._requests,
            key,
            body,
            pika.BasicProperties(
                **{"content_type": "application/cloudevents+json", "delivery_mode": 2} | properties
            ),
            mandatory=True,
        )

    def replies(self, subject: str) -> list[Event]:
        """The replies about one subscription so far."""
        return [event for _, event in self._listen() if event["subject"] == subject]

    def properties(self, event_id: str) -> pika.BasicProperties:
        """The AMQP properties that a reply came with."""
        [found] = [properties for properties, event in self._listen() if event["id"] == event_id]
        return found

    def _listen(self) -> list[tuple[pika.BasicProperties, Event]]:
        while True:
            method, properties, body = self._channel.basic_get(self._queue, auto_ack=True)
            if method is None:
                return self._heard
            self._heard.append((properties, json.loads(body)))


@contextmanager
def a_stranger(url: str, prefix: str) -> Iterator[Stranger]:
    """A stranger on the broker at `url`."""
    connection = pika.BlockingConnection(pika.URLParameters(quoted(url)))
    try:
        yield Stranger(connection.channel(), prefix)
    finally:
        connection.close()


def quoted(url: str) -> str:
    """A broker URL as pika wants it: kombu writes the virtual host "/" as a slash, pika as %2F."""
    parts = urlsplit(url)
    return parts._replace(path=f"/{parts.path.strip('/') or '%2F'}").geturl()


def request(**data: Any) -> Event:
    """A user_subscribed event, about a subscription that nobody knows."""
    subscription = str(uuid.uuid4())
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "/payment_service",
        "type": "user_subscribed",
        "subject": subscription,
        "time": now,
        "datacontenttype": "application/json",
        "correlationid": subscription,
        "data": {
            "subscription_id": subscription,
            "user_id": f"u-{subscription}",
            "email": f"{subscription}@example.com",
            "plan": "gold",
            "amount": 4900,
            "currency": "EUR",
            "occurred_at": now,
            **data,
        },
    }


def asked_again(first: Event) -> Event:
    """A new event that asks for the same subscription because of the first one."""
    return {**first, "id": str(uuid.uuid4()), "causationid": first["id"]}
