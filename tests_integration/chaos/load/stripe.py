"""Stripe reports sales: twice, late and in any order. Others forge its events."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from heapq import heappop, heappush
from http import HTTPStatus
from itertools import count

from providers.fake_stripe import Sale, signature

from tests_integration.harness.payments import Payments
from tools import rest

from .patience import Patience
from .sales import (
    CHECKOUT,
    INVOICE_PAID,
    OVER,
    PAID_AFTERWARDS,
    REFUND,
    Made,
    forged,
    forgeries,
    life,
    new_sale,
)
from .threads import Threads

AT_ONCE = 3
"""Events that are on their way at the same time."""

LATE = 0.5
"""Share of events that come late, and so after others of their sale."""

LATEST = 8.0
"""Seconds."""

SENT_TWICE = 0.2
"""Share of events that Stripe sends again although they were answered."""

LOOKED_UP = 0.3
"""Share of sales whose subscription the shop looks up; some of these are erased."""

FORGED = 0.2
"""Forged events a second: more than 60 a minute from one address are not even read."""

LOOK_EVERY = 0.05


@dataclass(frozen=True, order=True)
class Due:
    """An event that is to be sent, or a forged one."""

    at: float
    number: int
    event: Made = field(compare=False)
    sale: Sale = field(compare=False)
    period: int = field(compare=False, default=1)
    is_forged: bool = field(compare=False, default=False)


class Stripe:
    """Threads that report `rate` sales a second to the payment side."""

    def __init__(
        self, shop: Payments, url: str, secret: str, rate: float, seed: int, *, erased: set[str]
    ) -> None:
        """`shop` is the API as the client that owns what Stripe reports to `url`."""
        self.shop = shop
        self._url = f"{url}/v1/webhooks/stripe"
        self._secret = secret
        self._rate = rate
        self._draw = random.Random(f"stripe {seed}")
        self._lock = threading.Lock()
        self._sold = self._forged = 0
        self._numbers = count()
        self._waiting: list[Due] = []
        self.patience = Patience(erased)
        self.users: dict[str, str] = {}
        """Users by subscription, of those that the shop has looked up."""
        self.taken: set[str] = set()
        """Ids of the events that were taken."""
        self.paid: dict[str, str] = {}
        """Users by checkout, of those that were reported as paid."""
        self.paid_until: dict[str, str] = {}
        """The day to which each checkout's subscription is paid."""
        self.ended: set[str] = set()
        """Checkouts whose subscription has ended."""
        self.refused = 0
        """Forged events that were refused."""
        self.threads = Threads(self.patience.give_up)
        self.threads.add("stripe", self._work, AT_ONCE if rate else 0)

    def any(self) -> str:
        """The id of a subscription that the shop has looked up; empty if there is none yet."""
        with self._lock:
            return self._draw.choice(list(self.users)) if self.users else ""

    def _work(self) -> None:
        while (due := self._next()) is not None:
            if due.is_forged:
                self._send_forged(due)
            else:
                self._send(due)

    def _next(self) -> Due | None:
        """Wait for the next event that is due; none if there are no more."""
        while True:
            with self._lock:
                is_closed, now = self.threads.closed.is_set(), time.monotonic()
                if not is_closed:
                    self._sell(now)
                if self._waiting and (is_closed or self._waiting[0].at <= now):
                    return heappop(self._waiting)
            if is_closed:
                return None
            self.threads.closed.wait(LOOK_EVERY)

    def _sell(self, now: float) -> None:
        """Add the events of all that was sold, and forged, until now."""
        while self.threads.began + self._sold / self._rate <= now:
            self._sold += 1
            sale = new_sale(self._draw)
            for made, period in life(sale, self._draw):
                for _ in range(1 + (self._draw.random() < SENT_TWICE)):
                    late = self._draw.random() < LATE
                    at = now + (self._draw.uniform(0, LATEST) if late else 0.0)
                    heappush(self._waiting, Due(at, next(self._numbers), made, sale, period))
        while self.threads.began + self._forged / FORGED <= now:
            self._forged += 1
            number, real = next(self._numbers), [due.sale for due in self._waiting]
            made, sale = forged(number, real, self._draw)
            heappush(self._waiting, Due(now, number, made, sale, is_forged=True))

    def _send(self, due: Due) -> None:
        post = partial(self._post, due.event, lambda body: signature(body, self._secret))
        answer = self.patience.until_answered(
            f"Stripe's event {due.event['id']}", post, {HTTPStatus.OK}
        )
        if answer is None:
            return
        with self._lock:
            self._note(due)
            looks_up = self._draw.random() < LOOKED_UP
        if looks_up and due.sale.id("cs") in self.paid and due.event["type"] == CHECKOUT:
            self._look_up(due.sale)

    def _note(self, due: Due) -> None:
        self.taken.add(str(due.event["id"]))
        kind, checkout = due.event["type"], due.sale.id("cs")
        if kind == PAID_AFTERWARDS or (kind == CHECKOUT and due.sale.paid == "paid"):
            self.paid[checkout] = str(due.sale.user_id)
        elif kind == INVOICE_PAID:
            end = datetime.fromtimestamp(due.sale.seconds(due.period), UTC)
            self.paid_until[checkout] = max(f"{end:%Y-%m-%d}", self.paid_until.get(checkout, ""))
        elif kind in {OVER, REFUND}:
            self.ended.add(checkout)

    def _look_up(self, sale: Sale) -> None:
        path = f"/v1/subscriptions?reference={sale.id('cs')}"
        answer = self.patience.once(partial(self.shop.call, "GET", path))
        if answer is None:
            return
        ids = [str(each["id"]) for each in answer.body["results"]]
        if len(ids) != 1:
            self.patience.note(f"{sale.id('cs')} was paid, and has {len(ids)} subscriptions")
        with self._lock:
            self.users |= dict.fromkeys(ids, str(sale.user_id))

    def _send_forged(self, due: Due) -> None:
        with self._lock:
            forge = self._draw.choice(forgeries(self._secret))
        answer = self.patience.until_answered(
            f"the forged event {due.event['id']}",
            partial(self._post, due.event, forge),
            {HTTPStatus.BAD_REQUEST},
        )
        if answer is not None:
            with self._lock:
                self.refused += 1

    def _post(self, made: Made, sign: Callable[[bytes], str]) -> rest.Response:
        # What `rest` sends: the signature is over the bytes.
        body = json.dumps(made).encode()
        return rest.call("POST", self._url, made, {"Stripe-Signature": sign(body)})
