"""Properties and body of a message arrive as they were sent."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import amqp
import kombu

from tests.brokers import (
    Broker,
    Inbox,
)


def test_bytes_and_all_properties_survive(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    properties = {
        "content_type": "application/cloudevents+json",
        "application_headers": {
            "text": "ü",
            "number": 2**40,
            "yes": True,
            "nothing": None,
            "when": datetime(2026, 11, 21, 9, 0),  # noqa: DTZ001  (AMQP times have no zone)
            "table": {"list": [1, "two", {"three": 3.5}]},
        },
        "delivery_mode": 2,
        "priority": 3,
        "correlation_id": "correlation",
        "reply_to": "reply",
        "message_id": "id",
        "timestamp": 1_795_000_000,
        "type": "user_subscribed",
        "app_id": "payment_service",
    }
    body = bytes(range(256))

    channel.basic_publish(amqp.Message(body, **properties), "", queue)
    (message,) = Inbox(channel, queue).wait_for(1)

    assert message.body == body
    assert message.properties == properties


def test_text_comes_back_as_text_and_undecodable_text_as_bytes(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)

    channel.basic_publish(amqp.Message("grüße"), "", queue)
    channel.basic_publish(amqp.Message(b"\xff", content_encoding="utf-8"), "", queue)
    channel.basic_publish(amqp.Message(b"a", content_encoding="no-such"), "", queue)

    assert Inbox(channel, queue).bodies(3) == ["grüße", b"\xff", b"a"]


def test_channel_without_decoding_delivers_bytes(broker: Broker) -> None:
    channel = broker.channel()
    channel.auto_decode = False
    queue = broker.queue(channel)

    channel.basic_publish(amqp.Message("text"), "", queue)

    assert Inbox(channel, queue).bodies(1) == [b"text"]


def test_empty_body_is_delivered(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)

    channel.basic_publish(amqp.Message(b"", message_id="empty"), "", queue)
    (message,) = Inbox(channel, queue).wait_for(1)

    assert (message.body, message.properties) == ("", {"message_id": "empty"})


def test_kombu_reads_what_kombu_wrote(broker: Broker) -> None:
    connection = broker.connect()
    queue = kombu.Queue(broker.queue(connection.channel()), no_declare=True)
    got: list[Any] = []
    kombu.Producer(connection).publish({"a": 1}, routing_key=queue.name, headers={"h": "x"})

    def keep(body: Any, message: kombu.Message) -> None:
        got.append((body, message.headers, message.delivery_info["routing_key"]))
        message.ack()

    with kombu.Consumer(connection, [queue], callbacks=[keep], accept=["json"]):
        connection.drain_events(timeout=10)

    assert got == [({"a": 1}, {"h": "x"}, queue.name)]
