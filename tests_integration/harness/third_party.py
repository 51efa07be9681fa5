"""Another team's program, written with pika and docs/events.md, and without our code."""

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

from .wire_keys import WireKeys

Event = dict[str, Any]


class ThirdParty:
    """Requests access codes as docs/events.md says, and receives the replies on its own queue."""

    def __init__(self, channel: BlockingChannel, prefix: str, keys: WireKeys) -> None:
        self._keys = keys
        self._channel = channel
        self._requests = f"{prefix}payment_service.events"
        self._queue = f"{prefix}third-party.{uuid.uuid4()}"
        self._received: list[tuple[pika.BasicProperties, Event]] = []
        channel.confirm_delivery()
        channel.queue_declare(self._queue, exclusive=True)
        channel.queue_bind(self._queue, f"{prefix}student_service.events", "access_code_created")

    def publish(self, event: Event) -> None:
        """Publish an event with its type as the routing key."""
        self.publish_bytes(json.dumps(event).encode(), event["type"])

    def publish_bytes(self, body: bytes, key: str = "user_subscribed", **properties: Any) -> None:
        """Publish any bytes; returns when the broker has confirmed them."""
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
        """The replies so far about one subscription."""
        return [event for _, event in self._receive() if event["subject"] == subject]

    def properties(self, event_id: str) -> pika.BasicProperties:
        """The AMQP properties of a reply."""
        [properties] = [props for props, event in self._receive() if event["id"] == event_id]
        return properties

    def _receive(self) -> list[tuple[pika.BasicProperties, Event]]:
        while True:
            method, properties, body = self._channel.basic_get(self._queue, auto_ack=True)
            if method is None:
                return self._received
            self._received.append((properties, self._keys.opened(json.loads(body))))


@contextmanager
def connected(url: str, prefix: str, keys: WireKeys) -> Iterator[ThirdParty]:
    """A third party on the broker at `url`, who has the keys to open what is sealed."""
    connection = pika.BlockingConnection(pika.URLParameters(quoted(url)))
    try:
        yield ThirdParty(connection.channel(), prefix, keys)
    finally:
        connection.close()


def quoted(url: str) -> str:
    """A broker URL for pika, which needs the virtual host "/" written as %2F."""
    parts = urlsplit(url)
    return parts._replace(path=f"/{parts.path.strip('/') or '%2F'}").geturl()


def user_subscribed(**data: Any) -> Event:
    """A request for the code of a new subscription."""
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


def requested_again(first: Event) -> Event:
    """A new event that repeats the request, with the first as its cause."""
    return {**first, "id": str(uuid.uuid4()), "causationid": first["id"]}
