"""Third parties on the broker publish duplicates of events, late and out of order, and poison."""

from __future__ import annotations

import json
import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from admit_one.contract.registry import EVENTS
from amqp.exceptions import AMQPError
from kombu.exceptions import KombuError

from tests_integration.harness.third_party import Event, requested_again
from tests_integration.harness.wire import Wire, connect
from tests_integration.harness.wire_keys import WireKeys

from .poison import Poison, encoded
from .publication import Publication, Published
from .threads import Threads

BROKER_ERRORS = (AMQPError, KombuError, OSError)

REPLIES = {
    "user_subscribed": "access_code_created",
    "subscription_cancelled": "access_code_revoked",
}
"""The type of the student side's reply to each type of request."""

ROUTING_KEYS = {"payment_service": "user_subscribed", "student_service": "access_code_created"}
"""For each producer, a routing key that leads to the other side's queue."""

REMEMBERED = 500
PAUSE = 0.3
"""Seconds before another attempt to connect."""


class ThirdParties:
    """A thread that receives every event and publishes `rate` messages a second."""

    def __init__(self, url: str, prefix: str, rate: float, seed: int, keys: WireKeys) -> None:
        self._keys = keys
        self._url = url
        self._prefix = prefix
        self._rate = rate
        self._draw = random.Random(f"third parties {seed}")
        self._poison = Poison(self._draw)
        self._requests: deque[bytes] = deque(maxlen=REMEMBERED)
        self._replies: deque[bytes] = deque(maxlen=REMEMBERED)
        self._answered: deque[Event] = deque(maxlen=REMEMBERED)
        """Requests that the student side has answered."""
        self._by_id: dict[str, Event] = {}
        self._kinds = list(self._makers())
        self._in_hand: Publication | None = None
        self.threads = Threads()
        self.threads.add("third parties", self._work, 1 if rate else 0)
        self.published = Published()

    def _work(self) -> None:
        while self._in_hand is not None or not self.threads.closed.is_set():
            try:
                with connect(self._url) as connection:
                    wire = Wire(connection, self._prefix, self._receive)
                    while self._in_hand is not None or not self.threads.closed.wait(1 / self._rate):
                        wire.listen()
                        self._publish_next(wire)
            except BROKER_ERRORS:
                time.sleep(PAUSE)

    def _publish_next(self, wire: Wire) -> None:
        message = self._in_hand = self._in_hand or self._draw.choice(self._kinds)()
        if message is None:
            return
        key = ROUTING_KEYS[message.producer]
        wire.publish(message.producer, key, message.body, message.headers)
        self.published.confirm(message)
        self._in_hand = None

    def _receive(self, body: bytes) -> None:
        event = self._keys.opened(json.loads(body))
        if EVENTS[event["type"]].signed:
            return  # without its signature, which is no part of the body, it is a forgery
        is_request = event["source"] == "/payment_service"
        (self._requests if is_request else self._replies).append(body)
        if event["type"] == "user_subscribed":
            self._by_id[event["id"]] = event
        elif event["type"] == "access_code_created":
            request = self._by_id.pop(event.get("causationid", ""), None)
            if request is not None:
                self._answered.append(request)

    def _makers(self) -> Iterator[Callable[[], Publication | None]]:
        """Each makes a message, or none if it has no event to start from yet."""
        # About half are duplicates: they arrive late and out of order.
        yield from [partial(self._duplicate, "payment_service", self._requests)] * 4
        yield from [partial(self._duplicate, "student_service", self._replies)] * 4
        yield from [self._repeated_request] * 2
        yield from [self._impostor, self._poison.unknown_type, self._poison.orphan_reply]
        yield from [self._poison.malformed] * 3

    def _duplicate(self, producer: str, bodies: Sequence[bytes]) -> Publication | None:
        if not bodies:
            return None
        return Publication("duplicates", producer, self._draw.choice(bodies))

    def _repeated_request(self) -> Publication | None:
        if not self._answered:
            return None
        again = self._keys.sealed(requested_again(self._draw.choice(self._answered)))
        return Publication(
            "repeated requests", "payment_service", encoded(again), event_id=again["id"]
        )

    def _impostor(self) -> Publication | None:
        if not self._answered:
            return None
        return self._poison.impostor(self._draw.choice(self._answered))
