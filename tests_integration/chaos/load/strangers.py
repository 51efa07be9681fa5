"""Strangers on the broker: copies of what was said, late and in another order, and poison."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from amqp.exceptions import AMQPError
from kombu.exceptions import KombuError
from shared_contracts.topology import TOPOLOGY

from tests_integration.harness.stranger import Event, asked_again, request

from .line import Line, connected

MARK = "chaos"
"""The header by which poison is known again where it was set aside."""

AWAY = (AMQPError, KombuError, OSError)
"""What a broker that is away raises."""

ANSWERS = {
    "user_subscribed": "access_code_created",
    "subscription_cancelled": "access_code_revoked",
}
"""What the student side is asked, and what it answers to each."""

REMEMBERED = 500
LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True)
class Saying:
    """Something to be said until the broker confirms it. `mark` is empty for what is good."""

    kind: str
    producer: str
    body: bytes
    mark: str = ""
    event_id: str = ""


@dataclass
class Said:
    """What the broker has confirmed."""

    by_kind: Counter[str] = field(default_factory=Counter)
    poison: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in TOPOLOGY})
    """Marks, by the service that must have set it aside."""
    asked: set[str] = field(default_factory=set)
    """Ids of the good events that strangers have made."""


class Strangers:
    """A thread that hears everything and says `rate` things a second."""

    def __init__(self, url: str, prefix: str, rate: float, seed: int) -> None:
        self._url = url
        self._prefix = prefix
        self._rate = rate
        self._draw = random.Random(f"strangers {seed}")
        self._closed = threading.Event()
        self._requests: deque[bytes] = deque(maxlen=REMEMBERED)
        self._replies: deque[bytes] = deque(maxlen=REMEMBERED)
        self._answered: deque[Event] = deque(maxlen=REMEMBERED)
        """Requests that the student side has answered, and so handled."""
        self._by_id: dict[str, Event] = {}
        self._numbers = itertools.count(1)
        self._kinds = list(self._makers())
        self._thread = threading.Thread(target=self._go_on, name="strangers", daemon=True)
        self.said = Said()

    def open(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Say no more, but what was begun is said to its end."""
        self._closed.set()

    def finish(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _go_on(self) -> None:
        in_hand: Saying | None = None
        while in_hand is not None or not self._closed.is_set():
            try:
                with connected(self._url) as connection:
                    line = Line(connection, self._prefix, self._hear)
                    while in_hand is not None or not self._closed.wait(1 / self._rate):
                        line.listen()
                        in_hand = in_hand or self._think()
                        if in_hand is not None:
                            headers = {MARK: in_hand.mark} if in_hand.mark else {}
                            line.say(in_hand.producer, in_hand.body, headers)
                            self._confirmed(in_hand)
                            in_hand = None
            except AWAY:
                time.sleep(0.3)  # a stranger's pause before the next connection

    def _confirmed(self, saying: Saying) -> None:
        self.said.by_kind[saying.kind] += 1
        if saying.mark:
            [service] = set(TOPOLOGY) - {saying.producer}
            self.said.poison[service].add(saying.mark)
        if saying.event_id:
            self.said.asked.add(saying.event_id)

    def _hear(self, body: bytes) -> None:
        event = json.loads(body)
        if event["type"] in ANSWERS:
            self._requests.append(body)
        elif event["type"] in ANSWERS.values():
            self._replies.append(body)
        if event["type"] == "user_subscribed":
            self._by_id[event["id"]] = event
        elif event["type"] == "access_code_created":
            asked = self._by_id.pop(event.get("causationid", ""), None)
            if asked is not None:
                self._answered.append(asked)

    def _think(self) -> Saying | None:
        """The next thing to say, if it can be said yet."""
        return self._draw.choice(self._kinds)()

    def _makers(self) -> Iterator[Callable[[], Saying | None]]:
        # Half of what is said are copies: they come late, and so in another order.
        yield from [self._copy_of_a_request, self._copy_of_a_reply] * 4
        yield from [self._asked_again] * 2
        yield from [self._impostor, self._unknown_type, self._reply_to_nobody]
        yield from [self._malformed] * 3

    def _copy_of_a_request(self) -> Saying | None:
        if not self._requests:
            return None
        return Saying("copies", "payment_service", self._draw.choice(self._requests))

    def _copy_of_a_reply(self) -> Saying | None:
        if not self._replies:
            return None
        return Saying("copies", "student_service", self._draw.choice(self._replies))

    def _asked_again(self) -> Saying | None:
        if not self._answered:
            return None
        again = asked_again(self._draw.choice(self._answered))
        return Saying("asked again", "payment_service", encoded(again), event_id=again["id"])

    def _impostor(self) -> Saying | None:
        """An id that was handled already, around another body."""
        if not self._answered:
            return None
        victim = self._draw.choice(self._answered)
        return self._poison("ids used twice", "payment_service", {**request(), "id": victim["id"]})

    def _unknown_type(self) -> Saying:
        return self._poison(
            "unknown types", "payment_service", {**request(), "type": "user_subscribed.v9"}
        )

    def _reply_to_nobody(self) -> Saying:
        asked = request()
        code = "-".join("".join(self._draw.choices(LETTERS, k=4)) for _ in range(4))
        data = {
            "subscription_id": asked["subject"],
            "user_id": asked["data"]["user_id"],
            "access_code": code,
            "issued_at": asked["time"],
        }
        reply = {**asked, "source": "/student_service", "type": "access_code_created", "data": data}
        return self._poison("replies to nobody", "student_service", reply)

    def _malformed(self) -> Saying:
        good = encoded(request())
        bodies = {
            "cut": good[: -self._draw.randrange(1, 40)],
            "not UTF-8": good.replace(b"gold", b"g\xf6ld"),
            "a zero character": good.replace(b"gold", b"go\\u0000ld"),
            "deep": b"[" * 50_000 + uuid.uuid4().bytes,
            "too large": good.replace(b"gold", b"g" * 300_000),
            "a negative amount": good.replace(b"4900", b"-1"),
            "two addresses": good.replace(b"@example.com", b"@example.com, b@example.com"),
            "not JSON": f"hello {uuid.uuid4()}".encode(),
        }
        producer = self._draw.choice(["payment_service", "student_service"])
        return self._poison("malformed", producer, self._draw.choice(list(bodies.values())))

    def _poison(self, kind: str, producer: str, what: Event | bytes) -> Saying:
        body = what if isinstance(what, bytes) else encoded(what)
        return Saying(kind, producer, body, mark=f"poison {next(self._numbers)}")


def encoded(event: Event) -> bytes:
    return json.dumps(event).encode()
