"""Processes of the conformance suite, to be killed. Each says on stdout what it has done."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import kombu

from tests.brokers import Confirms, Inbox, drain_until


def say(words: object) -> None:
    print(words, flush=True)


def hold(url: str, queue: str, number: str) -> None:
    """Take `number` messages and never answer."""
    connection = kombu.Connection(url)
    Inbox(connection.channel(), queue, prefetch=int(number)).wait_for(int(number))
    say("holding")
    sys.stdin.read()


def produce(url: str, exchange: str, key: str, first: str, number: str) -> None:
    """Publish the numbers from `first` on, 50 confirms in flight."""
    connection = kombu.Connection(url)
    confirms = Confirms(connection.channel())
    for each in range(int(first), int(first) + int(number)):
        confirms.publish(str(each).encode(), exchange, key)
        drain_until(confirms.channel, lambda: len(confirms.open) < 50, seconds=30)
    drain_until(confirms.channel, lambda: not confirms.open, seconds=30)
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
