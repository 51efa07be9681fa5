"""No message is lost while producers and consumers start and are killed."""

from __future__ import annotations

import subprocess
import threading
from collections import Counter
from queue import SimpleQueue

from tests.brokers import (
    QUORUM,
    Broker,
    eventually,
    ready,
)


def test_two_producers_two_consumers_and_a_kill_lose_nothing(broker: Broker) -> None:
    number = 1000
    channel = broker.channel()
    exchange = broker.exchange(channel, "direct")
    queue = broker.queue(channel, x_delivery_limit=20, **QUORUM)
    channel.queue_bind(queue, exchange, "key")
    consumers = [broker.process("consume", queue, 50) for _ in range(2)]
    said: SimpleQueue[tuple[int, int]] = SimpleQueue()
    for who, consumer in enumerate(consumers):
        threading.Thread(target=pass_on, args=(who, consumer, said), daemon=True).start()
    producers = [
        broker.process("produce", exchange, "key", n, number // 2) for n in (0, number // 2)
    ]

    seen, shares = set(), Counter[int]()
    while max(shares.values(), default=0) < 100:
        who, one = said.get(timeout=30)
        shares[who] += 1
        seen.add(one)
    consumers[who].kill()
    while len(seen) < number:
        seen.add(said.get(timeout=30)[1])

    assert [producer.communicate()[0] for producer in producers] == ["confirmed\n"] * 2
    assert seen == set(range(number))
    eventually(lambda: ready(channel, queue), 0)


def pass_on(who: int, process: subprocess.Popen[str], said: SimpleQueue[tuple[int, int]]) -> None:
    """Each number that a process says, with who says it."""
    assert process.stdout
    for line in process.stdout:
        said.put((who, int(line)))
