"""Messages that a service must set aside, each with a mark by which the checker recognises it."""

from __future__ import annotations

import json
import random
import uuid
from dataclasses import replace
from itertools import count

from tests_integration.harness.third_party import Event, user_subscribed

from .publication import Publication

LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Poison:
    """Makes poison messages; `draw` decides which."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._numbers = count(1)

    def impostor(self, handled: Event) -> Publication:
        """The id of an event that was handled, with another body."""
        forged = {**user_subscribed(), "id": handled["id"]}
        poison = self._marked("ids used twice", "payment_service", encoded(forged))
        return replace(poison, victim=handled["subject"])

    def unknown_type(self) -> Publication:
        """An event of a type that no service handles."""
        event = {**user_subscribed(), "type": "user_subscribed.v9"}
        return self._marked("unknown types", "payment_service", encoded(event))

    def orphan_reply(self) -> Publication:
        """A code for a subscription that does not exist."""
        request = user_subscribed()
        data = {
            "subscription_id": request["subject"],
            "user_id": request["data"]["user_id"],
            "access_code": "-".join("".join(self._draw.choices(LETTERS, k=4)) for _ in range(4)),
            "issued_at": request["time"],
        }
        changes = {"source": "/student_service", "type": "access_code_created", "data": data}
        return self._marked("orphan replies", "student_service", encoded(request | changes))

    def malformed(self) -> Publication:
        """Bytes that are not a valid event."""
        good = encoded(user_subscribed())
        bodies = [
            good[: -self._draw.randrange(1, 40)],
            good.replace(b"gold", b"g\xf6ld"),
            good.replace(b"gold", b"go\\u0000ld"),
            b"[" * 50_000 + uuid.uuid4().bytes,
            good.replace(b"gold", b"g" * 300_000),
            good.replace(b"4900", b"-1"),
            good.replace(b"@example.com", b"@example.com, b@example.com"),
            f"hello {uuid.uuid4()}".encode(),
        ]
        producer = self._draw.choice(["payment_service", "student_service"])
        return self._marked("malformed", producer, self._draw.choice(bodies))

    def _marked(self, kind: str, producer: str, body: bytes) -> Publication:
        return Publication(kind, producer, body, mark=f"poison {next(self._numbers)}")


def encoded(event: Event) -> bytes:
    """An event as bytes on the wire."""
    return json.dumps(event).encode()
