"""Processes of the conformance suite, to be killed. Each says on stdout what it has done."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import admit_one.embedded_broker  # noqa: F401  (makes sqlite:// a broker URL)
import amqp
import kombu


def say(words: object) -> None:
    print(words, flush=True)


def hold(url: str, queue: str, number: str) -> None:
    """Take `number` messages and never answer."""
    connection = kombu.Connection(url)
    channel: Any = connection.channel()
    held: list[amqp.Message] = []
    channel.basic_qos(0, int(number), False)
    channel.basic_consume(queue, callback=held.append)
    while len(held) < int(number):
        connection.drain_events(timeout=30)
    say("holding")
    sys.stdin.read()


def produce(url: str, exchange: str, key: str, first: str, number: str) -> None:
    """Publish the numbers from `first` on, 50 confirms in flight."""
    connection = kombu.Connection(url)
    channel: Any = connection.channel()
    channel.confirm_select()
    confirmed = [0]

    def on_ack(tag: int, multiple: bool) -> None:
        confirmed[0] = tag if multiple else confirmed[0] + 1

    channel.events["basic_ack"].add(on_ack)
    for sent in range(1, int(number) + 1):
        body = str(int(first) + sent - 1).encode()
        channel.basic_publish(amqp.Message(body, delivery_mode=2), exchange, key)
        while sent - confirmed[0] >= 50 or sent == int(number) > confirmed[0]:
            connection.drain_events(timeout=30)
    say("confirmed")


def consume(url: str, queue: str, prefetch: str) -> None:
    """Say the number of each message, then acknowledge it."""
    connection = kombu.Connection(url)
    channel: Any = connection.channel()

    def on_message(message: Any) -> None:
        say(bytes(message.body).decode())
        channel.basic_ack(message.delivery_tag)

    channel.basic_qos(0, int(prefetch), False)
    channel.basic_consume(queue, callback=on_message)
    while True:
        with suppress(TimeoutError):
            connection.drain_events(timeout=1)


if __name__ == "__main__":
    roles: dict[str, Callable[..., None]] = {"hold": hold, "produce": produce, "consume": consume}
    roles[sys.argv[1]](*sys.argv[2:])
