"""A client of the payment service's HTTP API."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from tools.rest import NO_ANSWER, Response

from .api import Api

READERS = 4
"""Concurrent requests that read subscriptions one by one."""

PATIENCE = 60.0
"""Seconds for which a client repeats a request without an answer."""


@dataclass(frozen=True)
class Subscription:
    """A subscription as the API shows it."""

    id: str
    user_id: str
    email: str
    plan: str
    amount: int
    currency: str
    language: str | None
    order: str | None
    reference: str | None
    metadata: Mapping[str, str]
    status: str
    access_code: str | None
    access_code_failure: Mapping[str, str] | None
    mail_failure: Mapping[str, str] | None
    created_at: str
    updated_at: str = field(compare=False, kw_only=True)  # of a restored row it is another
    cancelled_at: str | None
    code_revoked_at: str | None
    problem: Mapping[str, str] | None
    # It comes some time after the code, and by another clock if it is restored.
    emailed_at: str | None = field(compare=False, kw_only=True)
    resend: Mapping[str, str] | None
    reason: str | None
    valid_from: str | None
    valid_until: str | None
    expiring_soon_at: str | None
    uses: int | None
    uses_made: int
    redeemed_at: str | None
    past_due_at: str | None
    suspended: bool
    terms_applied: bool
    refunded_at: str | None

    @property
    def recorded(self) -> datetime:
        """When it was created, as lists are ordered by."""
        return datetime.fromisoformat(self.created_at)


@dataclass(frozen=True)
class Order:
    """What a client sends, and its idempotency key."""

    key: str
    body: Mapping[str, Any]


def order(**changes: Any) -> Order:
    """An order of a new user."""
    user = f"u-{secrets.token_hex(8)}"
    body = {"user_id": user, "email": f"{user}@example.com", "plan": "gold"}
    return Order(secrets.token_hex(16), body | {"amount": 4900, "currency": "EUR"} | changes)


def noted(order: Order) -> Order:
    """The order with words of the client's own, in which its user is named."""
    user = order.body["user_id"]
    words = {"reference": f"of-{user}", "metadata": {"note": f"for {user}"}}
    return Order(order.key, {**order.body, **words})


class Payments(Api):
    """The payment service's API."""

    def post(self, order: Order) -> Response:
        """Send an order once. Raises one of `NO_ANSWER`."""
        return self.call("POST", "/v1/subscriptions", order.body, {"Idempotency-Key": order.key})

    def cancel(self, subscription_id: str) -> Response:
        """Cancel a subscription once. Raises one of `NO_ANSWER`."""
        return self.call("POST", f"/v1/subscriptions/{subscription_id}/cancel")

    def subscribe(self, order: Order) -> Subscription:
        """Send an order, and repeat it with the same key while there is no answer or a 503.

        Raises `AssertionError` for any other answer than 202.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                answer = self.post(order)
            except NO_ANSWER:
                if time.monotonic() > deadline:
                    raise
            else:
                if answer.status != 503 or time.monotonic() > deadline:
                    break
            time.sleep(0.1)  # a client's pause between attempts

        assert answer.status == 202, answer
        return Subscription(**answer.body)

    def show(self, subscription_id: str) -> Subscription:
        answer = self.call("GET", f"/v1/subscriptions/{subscription_id}")

        assert answer.status == 200, answer
        return Subscription(**answer.body)

    def whole(self) -> list[Subscription]:
        """Every subscription of this API key, newest first, each read by itself: with its code."""
        with ThreadPoolExecutor(READERS) as readers:
            return list(readers.map(self.show, [listed.id for listed in self.all()]))

    def all(self) -> Iterator[Subscription]:
        """Every subscription of this API key, newest first, as a list shows it: codes masked."""
        return (Subscription(**body) for body in self._listed())

    def _listed(self) -> Iterator[dict[str, Any]]:
        page: str | None = "/v1/subscriptions?limit=100"
        while page is not None:
            answer = self.call("GET", page)

            assert answer.status == 200, answer
            yield from answer.body["results"]
            page = answer.body["next"]


def pending(subscription: Subscription) -> Subscription:
    """The same subscription as it was answered to its POST."""
    return replace(subscription, status="pending", access_code=None)
