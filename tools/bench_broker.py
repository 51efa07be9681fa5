"""How fast a broker carries messages between processes, and what a kill -9 costs: nothing.

    python -m tools.bench_broker                       the embedded broker, in a temporary folder
    python -m tools.bench_broker --url amqp://…        RabbitMQ, beside it

Each figure is printed with what was done for it; exit 1 if a message was lost.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection as Pipe
from typing import Any

import kombu
import shared_contracts.sqlite_transport  # noqa: F401  (makes sqlite:// a broker URL)

BATCH = 500
BODY = b"x" * 600

spawn = multiprocessing.get_context("spawn")


def queue_of(name: str) -> kombu.Queue:
    """The kind of queue the services' inboxes are."""
    return kombu.Queue(
        name,
        kombu.Exchange(name, "direct", durable=True),
        routing_key="key",
        queue_arguments={"x-queue-type": "quorum", "x-delivery-limit": 20},
    )


def produce(url: str, name: str, first: int, number: int, done: Pipe) -> None:
    """Publish `number` messages, `BATCH` confirms in flight; send the seconds it took."""
    with kombu.Connection(url) as connection:
        channel: Any = connection.channel()
        channel.confirm_select()
        confirmed = 0

        def on_ack(tag: int, multiple: bool) -> None:
            nonlocal confirmed
            confirmed = tag if multiple else confirmed + 1

        channel.events["basic_ack"].add(on_ack)
        done.send("ready")
        begun = time.monotonic()
        for start in range(first, first + number, BATCH):
            for serial in range(start, min(start + BATCH, first + number)):
                message = channel.prepare_message(
                    BODY, properties={"message_id": str(serial), "delivery_mode": 2}
                )
                channel.basic_publish(message, exchange=name, routing_key="key")
            while confirmed < min(start + BATCH - first, number):
                connection.drain_events(timeout=30)
        done.send(time.monotonic() - begun)


def consume(url: str, name: str, seen: Pipe) -> None:
    """Acknowledge what comes, up to `BATCH` at once, and send the serials after their ack."""
    with kombu.Connection(url) as connection:
        channel: Any = connection.channel()
        batch: list[kombu.Message] = []
        consumer = kombu.Consumer(channel, [queue_of(name)], on_message=batch.append)
        consumer.qos(prefetch_count=BATCH)
        consumer.consume()
        seen.send("ready")
        while True:
            try:
                connection.drain_events(timeout=0 if batch else 1)
            except TimeoutError:
                pass
            else:
                if len(batch) < BATCH:
                    continue
            if batch:
                batch[-1].ack(multiple=True)
                again = sum(message.delivery_info["redelivered"] for message in batch)
                seen.send(([int(message.properties["message_id"]) for message in batch], again))
                batch.clear()


def started(target: Callable[..., None], *args: Any) -> tuple[Any, Pipe]:
    """A process running `target`, and the end of the pipe it reports to."""
    ours, theirs = spawn.Pipe(duplex=False)
    process = spawn.Process(target=target, args=(*args, theirs), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def stop(processes: Sequence[Any]) -> None:
    """kill -9, and wait until they are gone."""
    for process in processes:
        process.kill()
        process.join()


def collect(pipes: Sequence[Pipe], missing: set[int], enough: int, until: float) -> int:
    """Take what arrives off `missing` until only `enough` are left; how many came again."""
    open_pipes = list(pipes)
    again = 0
    while len(missing) > enough and time.monotonic() < until and open_pipes:
        for pipe in open_pipes.copy():
            try:
                while pipe.poll(0.01):
                    serials, redelivered = pipe.recv()
                    missing.difference_update(serials)
                    again += redelivered
            except EOFError:  # the killed one
                open_pipes.remove(pipe)
    return again


def measure_speed(url: str, name: str, number: int) -> None:
    """One producer and one consumer, both at once."""
    consumer, seen = started(consume, url, name)
    seen.recv()
    producer, done = started(produce, url, name, 0, number)
    done.recv()
    begun = time.monotonic()
    missing = set(range(number))
    collect([seen], missing, 0, begun + 120)
    total = time.monotonic() - begun
    seconds = done.recv()
    stop([producer, consumer])
    print(f"publish, confirms in flight by {BATCH}: {number / seconds:,.0f} messages/s")
    print(f"in and out between two processes: {(number - len(missing)) / total:,.0f} messages/s")


def measure_loss(url: str, name: str, number: int) -> int:
    """Two producers, two consumers, one of these killed half way; how many messages were lost."""
    half = number // 2
    workers = [started(consume, url, name) for _ in range(2)]
    workers += [started(produce, url, name, first, half) for first in (0, half)]
    processes, pipes = [process for process, _ in workers], [pipe for _, pipe in workers]
    for pipe in pipes:
        pipe.recv()
    begun = time.monotonic()
    missing = set(range(number))
    collect(pipes[:2], missing, half, begun + 120)
    os.kill(processes[0].pid, signal.SIGKILL)
    again = collect(pipes[:2], missing, 0, begun + 120)
    seconds = time.monotonic() - begun
    stop(processes)
    print(
        f"2 producers, 2 consumers, kill -9 of a consumer half way: {len(missing)} of {number:,} "
        f"lost, {again} delivered again, {number / seconds:,.0f} messages/s"
    )
    return len(missing)


def measure_latency(url: str, name: str) -> None:
    """One message at a time, from before the publish until after its ack elsewhere."""
    consumer, seen = started(consume, url, name)
    seen.recv()
    waits = []
    with kombu.Connection(url) as connection:
        channel: Any = connection.channel()
        for serial in range(200):
            time.sleep(0.02)
            message = channel.prepare_message(BODY, properties={"message_id": str(serial)})
            begun = time.monotonic()
            channel.basic_publish(message, exchange=name, routing_key="key")
            seen.recv()
            waits.append((time.monotonic() - begun) * 1000)
    stop([consumer])
    waits.sort()
    print(f"one at a time: p50 {waits[100]:.1f} ms, p99 {waits[197]:.1f} ms, ack included")


def main() -> int:
    """Declare, measure, clean up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="broker URL (default: a new embedded broker)")
    parser.add_argument(
        "--messages", type=int, default=20_000, help="messages a run (default: 20000)"
    )
    given = parser.parse_args()
    name = f"bench-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as folder:
        url = given.url or f"sqlite:///{folder}/broker.sqlite3"
        with kombu.Connection(url) as connection:
            queue = queue_of(name)(connection.channel())
            queue.declare()
            try:
                measure_speed(url, name, given.messages)
                measure_latency(url, name)
                return 1 if measure_loss(url, name, given.messages) else 0
            finally:
                queue.delete()
                queue.exchange.delete()


if __name__ == "__main__":
    sys.exit(main())
