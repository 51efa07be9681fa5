"""The two brokers of the conformance suite, behind one face."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import admit_one.embedded_broker  # noqa: F401  (makes sqlite:// a broker URL)
import amqp
import kombu
import pytest

from tools.system.left_out import skip_without_rabbitmq

RABBITMQ = os.environ.get("TEST_BROKER_URL", "amqp://guest:guest@127.0.0.1:5672//")
QUORUM = {"x-queue-type": "quorum"}
ROOT = Path(__file__).parent.parent


class Broker:
    """A broker to test: connections to it, and names nobody else uses, deleted afterwards."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.prefix = f"conformance-{uuid.uuid4().hex[:8]}."
        self._queues: list[str] = []
        self._exchanges: list[str] = []
        self._connections: list[kombu.Connection] = []
        self._processes: list[subprocess.Popen[str]] = []

    def connect(self) -> Any:
        connection = kombu.Connection(self.url, connect_timeout=5)
        connection.connect()
        self._connections.append(connection)
        return connection

    def channel(self) -> Any:
        return self.connect().channel()

    def queue(self, channel: Any, name: str = "queue", **arguments: Any) -> str:
        """Declare a durable queue; arguments by their AMQP names, `_` for `-`."""
        full = self.adopt(self.prefix + name)
        dashed = {key.replace("_", "-"): value for key, value in arguments.items()}
        channel.queue_declare(full, durable=True, auto_delete=False, arguments=dashed)
        return full

    def adopt(self, queue: str) -> str:
        """Delete this queue afterwards, whoever declares it."""
        self._queues.append(queue)
        return queue

    def adopt_exchange(self, exchange: str) -> str:
        """Delete this exchange afterwards, whoever declares it."""
        self._exchanges.append(exchange)
        return exchange

    def exchange(self, channel: Any, kind: str, name: str = "exchange") -> str:
        full = self.adopt_exchange(self.prefix + name)
        channel.exchange_declare(full, kind, durable=True, auto_delete=False)
        return full

    def process(self, role: str, *args: object) -> subprocess.Popen[str]:
        """A process of `broker_processes.py`, which says what it has done line by line."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.broker_processes", role, self.url, *map(str, args)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT.parent)},  # for tools
            stdout=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        return process

    def clean(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()
        for connection in self._connections:
            connection.release()
        with kombu.Connection(self.url) as connection:
            channel: Any = connection.channel()
            for queue in self._queues:
                channel.queue_delete(queue)
            for exchange in self._exchanges:
                channel.exchange_delete(exchange)


def require_rabbitmq() -> None:
    """An error, not a skip: what was proved on one broker only is not proved."""
    skip_without_rabbitmq()
    try:
        with kombu.Connection(RABBITMQ, connect_timeout=3) as connection:
            connection.connect()
    except OSError as error:
        shown = kombu.Connection(RABBITMQ).as_uri()
        pytest.fail(
            f"expected a RabbitMQ at {shown}, got: {error}. "
            "Start one, or point TEST_BROKER_URL to one; `make test` finds or starts one itself.",
            pytrace=False,
        )


class Inbox:
    """A consumer that keeps what it is given."""

    def __init__(
        self, channel: Any, queue: str, *, prefetch: int = 0, no_ack: bool = False
    ) -> None:
        self.channel = channel
        self.messages: list[Any] = []
        if prefetch:
            channel.basic_qos(0, prefetch, False)
        self.tag = channel.basic_consume(queue, callback=self.messages.append, no_ack=no_ack)

    def wait_for(self, number: int) -> list[Any]:
        """All messages, as soon as there are `number` of them."""
        drain_until(self.channel, lambda: len(self.messages) >= number)
        return self.messages

    def bodies(self, number: int) -> list[Any]:
        return [message.body for message in self.wait_for(number)]


class Confirms:
    """A channel that publishes with confirms, and all the broker said, in its order."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.published = 0
        self.said: list[tuple[str, Any]] = []
        self.open: set[int] = set()
        channel.confirm_select()
        channel.events["basic_ack"].add(lambda tag, multiple: self._reply("ack", tag, multiple))
        channel.events["basic_nack"].add(lambda tag, multiple: self._reply("nack", tag, multiple))
        channel.events["basic_return"].add(
            lambda error, exchange, key, message: self.said.append(("return", message.message_id))
        )

    def _reply(self, what: str, tag: int, multiple: bool) -> None:
        answered = {t for t in self.open if t <= tag} if multiple else {tag}
        self.open -= answered
        self.said += [(what, tag) for tag in sorted(answered)]

    def publish(self, body: str | bytes, exchange: str = "", key: str = "", **options: Any) -> None:
        number = self.published + 1
        message = amqp.Message(body, delivery_mode=2, message_id=str(number))
        # If it raises, it has read something that came, and has sent nothing.
        self.channel.basic_publish(message, exchange=exchange, routing_key=key, **options)
        self.published = number
        self.open.add(number)

    def wait(self) -> list[tuple[str, Any]]:
        drain_until(self.channel, lambda: not self.open)
        return self.said


def publish(broker: Broker, bodies: list[Any], exchange: str = "", key: str = "") -> None:
    """Publish from a connection of its own; on return the broker has them all."""
    with kombu.Connection(broker.url) as connection:
        confirms = Confirms(connection.channel())
        for body in bodies:
            confirms.publish(body, exchange, key)
        confirms.wait()


def drain_until(channel: Any, done: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "the broker did not do it in time"
        with contextlib.suppress(TimeoutError):
            channel.connection.drain_events(timeout=0.1)


def eventually(read: Callable[[], Any], expected: Any, seconds: float = 15) -> None:
    """RabbitMQ counts a little behind what it does; wait for the fact."""
    deadline = time.monotonic() + seconds
    while (actual := read()) != expected and time.monotonic() < deadline:
        time.sleep(0.02)

    assert actual == expected


def ready(channel: Any, queue: str) -> int:
    """How many messages wait in the queue."""
    return int(channel.queue_declare(queue, passive=True).message_count)
