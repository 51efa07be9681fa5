"""Clients create subscriptions at a steady rate, read them, and renew, refund and cancel some.

A client repeats its request until it has an answer.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection
from functools import partial
from http import HTTPStatus

from tests_integration.harness.payments import Order, Payments, order
from tools.rest import NO_ANSWER, Response

AT_ONCE = 12
"""Clients that wait for an answer at the same time."""

PAUSE = 0.3
"""Seconds before a client without an answer repeats its request."""

SENT_TWICE = 0.02
"""Share of orders that are sent again although they were answered."""

CANCELLED_AT_ONCE = 0.02
"""Share of orders that are cancelled as soon as they are answered, about when the code arrives."""

CANCELLED_LATER = 0.01
"""Share of orders after which an older subscription is cancelled."""

WITH_AN_END = 0.1
"""Share of orders that are paid until a time."""

RENEWED_AT_ONCE = 0.5
"""Share of these that are renewed as soon as they are answered, about when the code arrives."""

PAID_UNTIL, RENEWED_UNTIL = "2098-01-01T00:00:00Z", "2099-01-01T00:00:00Z"

READS_A_SECOND = 5.0

TRY_AGAIN = {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}
NO_WHOLE_ANSWER = (*NO_ANSWER, ValueError)
"""No answer, or a truncated one."""


class Clients:
    """Threads that send `rate` orders a second, and one that reads subscriptions."""

    def __init__(self, payments: Payments, rate: float, seed: int, *, changes: bool) -> None:
        self._payments = payments
        self._rate = rate
        self._changes = changes
        self._draw = random.Random(f"clients {seed}")
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._given_up = threading.Event()
        self._scheduled = 0
        self._began = 0.0
        self._ids: list[str] = []
        self.accepted: dict[str, Order] = {}
        """Orders by the subscription id in their answers."""
        self.codes: dict[str, str] = {}
        """The first code that the API showed for each subscription that was read."""
        self.cancelled: set[str] = set()
        """Subscriptions whose cancellation or refund was accepted."""
        self.renewed: set[str] = set()
        """Subscriptions whose renewal was accepted."""
        self.anomalies: list[str] = []
        """Answers that no client should ever get."""
        self.requests = 0
        names = [f"client {number}" for number in range(AT_ONCE)]
        self._threads = [
            *(threading.Thread(target=self._order, name=name, daemon=True) for name in names),
            threading.Thread(target=self._keep_reading, name="reader", daemon=True),
        ]

    def start(self) -> None:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Start no new orders; those in progress continue until they are answered."""
        self._closed.set()

    def finish(self, seconds: float) -> None:
        """Wait until every order is answered. After `seconds` the clients give up."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._given_up.set()

    def _order(self) -> None:
        while self._next():
            has_end = self._draw.random() < WITH_AN_END
            placed = order(valid_until=PAID_UNTIL) if has_end else order()
            first = self._send(placed)
            if first and self._draw.random() < SENT_TWICE:
                second = self._send(placed)
                if second not in {first, ""}:
                    self._note(f"one order, sent twice, created {first} and {second}")
            if first and self._changes:
                self._change(first, has_end=has_end)

    def _change(self, subscription: str, *, has_end: bool) -> None:
        if has_end and self._draw.random() < RENEWED_AT_ONCE:
            self._renew(subscription)
        if self._draw.random() < CANCELLED_AT_ONCE:
            self._cancel(subscription)
        if self._draw.random() < CANCELLED_LATER and (older := self._any()):
            self._cancel(older)

    def _next(self) -> bool:
        """Wait until the next order is due; false if there are no more."""
        with self._lock:
            due = self._began + self._scheduled / self._rate
            self._scheduled += 1
        return not self._closed.wait(max(0.0, due - time.monotonic()))

    def _send(self, placed: Order) -> str:
        """The id of the created subscription; empty if the client gave up."""
        answer = self._until_accepted("an order", lambda: self._payments.post(placed))
        if answer is None:
            return ""
        subscription = str(answer.body["id"])
        with self._lock:
            if subscription not in self.accepted:
                self._ids.append(subscription)
            self.accepted[subscription] = placed
        return subscription

    def _renew(self, subscription: str) -> None:
        path, body = f"/v1/subscriptions/{subscription}/renew", {"valid_until": RENEWED_UNTIL}
        post = partial(self._payments.call, "POST", path, body)
        answer = self._until_accepted(
            f"the renewal of {subscription}", post, also={HTTPStatus.CONFLICT}
        )
        if answer is not None and answer.status == HTTPStatus.ACCEPTED:
            self.renewed.add(subscription)

    def _cancel(self, subscription: str) -> None:
        how = self._draw.choice(["cancel", "refund"])
        post = partial(self._payments.call, "POST", f"/v1/subscriptions/{subscription}/{how}")
        answer = self._until_accepted(f"the cancellation of {subscription}", post)
        if answer is not None:
            self.cancelled.add(subscription)

    def _until_accepted(
        self, what: str, post: Callable[[], Response], also: Collection[int] = ()
    ) -> Response | None:
        """Send a request until it is accepted, or answered with one of `also`.

        Returns the answer, none if the client gave up.
        """
        while not self._given_up.is_set():
            self.requests += 1
            try:
                answer = post()
            except NO_WHOLE_ANSWER:
                self._given_up.wait(PAUSE)
                continue
            if answer.status in {HTTPStatus.ACCEPTED, *also}:
                return answer
            if answer.status not in TRY_AGAIN:
                self._note(f"{what} was answered with {answer.status}: {answer.body}")
            self._given_up.wait(PAUSE)
        self._note(f"{what} was still unanswered at the end of the run")
        return None

    def _keep_reading(self) -> None:
        while not self._closed.wait(1 / READS_A_SECOND):
            if subscription := self._any():
                self._read(subscription)

    def _any(self) -> str:
        """The id of a random subscription; empty if there is none yet."""
        with self._lock:
            return self._draw.choice(self._ids) if self._ids else ""

    def _read(self, subscription: str) -> None:
        was_cancelled = subscription in self.cancelled
        try:
            answer = self._payments.call("GET", f"/v1/subscriptions/{subscription}")
        except NO_WHOLE_ANSWER:
            return
        if answer.status in TRY_AGAIN:
            return
        if answer.status != HTTPStatus.OK:
            self._note(f"GET of {subscription} was answered with {answer.status}: {answer.body}")
            return
        code, known = answer.body["access_code"], self.codes.get(subscription)
        if known is None and code is not None:
            self.codes[subscription] = code
        elif code != known:
            self._note(f"the API showed a code for {subscription}, and then another one or none")
        if was_cancelled and answer.body["status"] not in {"cancelled", "refunded"}:
            self._note(f"{subscription} was cancelled, but is {answer.body['status']}")

    def _note(self, what: str) -> None:
        with self._lock:
            self.anomalies.append(what)
