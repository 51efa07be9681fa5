"""Clients create subscriptions at a steady rate, read them, and renew, refund and cancel some.

A client repeats its request until it has an answer.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from tests_integration.harness.payments import Order, Payments, noted, order
from tools.rest import Response

from .patience import Patience
from .threads import Threads

AT_ONCE = 12
"""Clients that wait for an answer at the same time."""

SENT_TWICE = 0.02
"""Share of orders that are sent again although they were answered."""

TOGETHER = 0.02
"""Share of orders that have several subscriptions, `SEATS` of them."""

SEATS = 4

CANCELLED_AT_ONCE = 0.02
"""Share of orders that are cancelled as soon as they are answered, about when the code arrives."""

CANCELLED_LATER = 0.01
"""Share of orders after which an older subscription is cancelled."""

NOTED = 0.1
"""Share of orders with words of the client's own, in which the user is named."""

LIMITED = 0.2
"""Share of orders whose code can be redeemed `USES` times only."""

USES = 3

WITH_AN_END = 0.1
"""Share of orders that are paid until a time."""

RENEWED_AT_ONCE = 0.5
"""Share of these that are renewed as soon as they are answered, about when the code arrives."""

PAID_UNTIL, RENEWED_UNTIL = "2098-01-01T00:00:00Z", "2099-01-01T00:00:00Z"

READS_A_SECOND = 5.0


class Clients:
    """Threads that send `rate` orders a second, and one that reads subscriptions."""

    def __init__(
        self, payments: Payments, rate: float, seed: int, erased: set[str], *, changes: bool
    ) -> None:
        """`erased` are the subscriptions that are erased, or about to be."""
        self._payments = payments
        self._rate = rate
        self._erased = erased
        self._changes = changes
        self._draw = random.Random(f"clients {seed}")
        self._lock = threading.Lock()
        self._scheduled = 0
        self._ids: list[str] = []
        self.accepted: dict[str, Order] = {}
        """Orders by the subscription id in their answers."""
        self.codes: dict[str, str] = {}
        """The latest code that the API has shown for each subscription."""
        self.older_codes: dict[str, set[str]] = {}
        """Those that it had shown before."""
        self.orders: dict[str, list[str]] = {}
        """Subscriptions by the order with which they were recorded."""
        self.cancelled: set[str] = set()
        """Subscriptions whose cancellation or refund was accepted."""
        self.renewed: set[str] = set()
        """Subscriptions whose renewal was accepted."""
        self.patience = Patience(erased)
        self.threads = Threads(self.patience.give_up)
        self.threads.add("client", self._order, AT_ONCE)
        self.threads.add("reader", self._keep_reading)

    def _order(self) -> None:
        while self._next():
            if self._changes and self._draw.random() < TOGETHER:
                self._order_together()
                continue
            has_end = self._draw.random() < WITH_AN_END
            placed = order(
                **({"valid_until": PAID_UNTIL} if has_end else {}),
                **({"uses": USES} if self._draw.random() < LIMITED else {}),
            )
            if self._draw.random() < NOTED:
                placed = noted(placed)
            first = self._send(placed)
            if first and self._draw.random() < SENT_TWICE:
                second = self._send(placed, about=first)
                if second not in {first, ""}:
                    self.patience.note(f"one order, sent twice, created {first} and {second}")
            if first and self._changes:
                self._change(first, has_end=has_end)

    def _order_together(self) -> None:
        seats = [order() for _ in range(SEATS)]
        body = {"subscriptions": [seat.body for seat in seats]}
        key = {"Idempotency-Key": seats[0].key}
        post = partial(self._payments.call, "POST", "/v1/orders", body, key)
        answers = [self._until("an order of several", post)]
        if self._draw.random() < SENT_TWICE:
            answers.append(self._until("the same order again", post))
        ids = {str(answer.body["id"]) for answer in answers if answer is not None}
        if len(ids) > 1:
            self.patience.note(f"one order of several, sent twice, created {ids}")
        for order_id in ids:
            self._read_seats(order_id, {seat.body["user_id"]: seat for seat in seats})

    def _read_seats(self, order_id: str, placed: dict[str, Order]) -> None:
        read = partial(self._payments.call, "GET", f"/v1/subscriptions?order={order_id}")
        answer = self.patience.until_answered("a list of seats", read, {HTTPStatus.OK})
        if answer is None:
            return
        seats = {str(each["id"]): placed[each["user_id"]] for each in answer.body["results"]}
        if len(seats) != len(placed):
            self.patience.note(f"order {order_id} has {len(seats)} seats of {len(placed)}")
        with self._lock:
            self.orders[order_id] = list(seats)
            self.accepted |= seats
            self._ids += seats

    def _change(self, subscription: str, *, has_end: bool) -> None:
        if has_end and self._draw.random() < RENEWED_AT_ONCE:
            self._renew(subscription)
        if self._draw.random() < CANCELLED_AT_ONCE:
            self._cancel(subscription)
        if self._draw.random() < CANCELLED_LATER and (older := self.any()):
            self._cancel(older)

    def _next(self) -> bool:
        """Wait until the next order is due; false if there are no more."""
        with self._lock:
            due = self.threads.began + self._scheduled / self._rate
            self._scheduled += 1
        return not self.threads.closed.wait(max(0.0, due - time.monotonic()))

    def _send(self, placed: Order, about: str = "") -> str:
        """The id of the created subscription; empty if the client gave up, or if it is erased.

        `about` is that id if it is known already.
        """
        answer = self._until("an order", partial(self._payments.post, placed), about=about)
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
        what = f"the renewal of {subscription}"
        answer = self._until(what, post, HTTPStatus.CONFLICT, about=subscription)
        if answer is not None and answer.status == HTTPStatus.ACCEPTED:
            self.renewed.add(subscription)

    def _cancel(self, subscription: str) -> None:
        how = self._draw.choice(["cancel", "refund"])
        post = partial(self._payments.call, "POST", f"/v1/subscriptions/{subscription}/{how}")
        answer = self._until(f"the cancellation of {subscription}", post, about=subscription)
        if answer is not None:
            self.cancelled.add(subscription)

    def _until(
        self, what: str, post: Callable[[], Response], *also: int, about: str = ""
    ) -> Response | None:
        """The answer 202, or one with a status of `also`; none if the clients gave up."""
        return self.patience.until_answered(what, post, {HTTPStatus.ACCEPTED, *also}, about=about)

    def _keep_reading(self) -> None:
        while not self.threads.closed.wait(1 / READS_A_SECOND):
            if subscription := self.any():
                self._read(subscription)

    def any(self) -> str:
        """The id of a random subscription; empty if there is none yet."""
        with self._lock:
            return self._draw.choice(self._ids) if self._ids else ""

    def _read(self, subscription: str) -> None:
        was_cancelled = subscription in self.cancelled
        path = f"/v1/subscriptions/{subscription}"
        answer = self.patience.once(partial(self._payments.call, "GET", path))
        if answer is None:
            return
        if answer.status != HTTPStatus.OK:
            self.patience.note(f"GET {path} was answered with {answer.status}: {answer.body}")
            return
        if subscription in self._erased:
            return
        self._compare_code(subscription, answer.body["access_code"])
        if was_cancelled and answer.body["status"] not in {"cancelled", "refunded"}:
            self.patience.note(f"{subscription} was cancelled, but is {answer.body['status']}")

    def _compare_code(self, subscription: str, code: str | None) -> None:
        """A code may be replaced, but never be gone, nor come back."""
        known = self.codes.get(subscription)
        if code == known:
            return
        older = self.older_codes.setdefault(subscription, set())
        if code is None or code in older:
            self.patience.note(f"the API showed a code for {subscription}, then an older or none")
            return
        if known is not None:
            older.add(known)
        self.codes[subscription] = code
