"""Steps of tests: what Stripe sends, and what has become of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from django.db import connection
from django.test import Client
from providers.fake_stripe import Sale, event, signature, written
from providers.models import ProviderEvent, ProviderLink
from subscriptions.models import Subscription

PATH = "/v1/webhooks/stripe"
SECRET = "whsec_0123456789abcdefghijklmnopqrstuvwxyz"
OTHER_SECRET = "whsec_zyxwvutsrqponmlkjihgfedcba9876543210"
SALE = Sale(name="a1")
ONCE = Sale(name="b1", mode="payment")

COMPLETED = "checkout.session.completed"
PAID_LATER = "checkout.session.async_payment_succeeded"
PAID, FAILED = "invoice.paid", "invoice.payment_failed"
PAYMENT, ENDED, REFUNDED = (
    "invoice_payment.paid",
    "customer.subscription.deleted",
    "charge.refunded",
)

DISPUTED, DISPUTE_CLOSED = "charge.dispute.created", "charge.dispute.closed"
REFUND_FAILED = "refund.failed"


def send(
    made: dict[str, Any] | bytes, *, secret: str = SECRET, ago: int = 0, header: str | None = None
) -> Any:
    """POST an event, signed; returns the response."""
    body = made if isinstance(made, bytes) else written(made)
    signed = signature(body, secret, ago=ago) if header is None else header
    return Client().generic(
        "POST", PATH, body, "application/json", headers={"Stripe-Signature": signed}
    )


def stripe_sends(kind: str, sale: Sale = SALE, **options: Any) -> str:
    """Send an event that must be taken; returns what became of it."""
    response = send(event(kind, sale, **options))
    assert response.status_code == 200, response.json()
    return str(response.json()["result"])


def the_event(kind: str, **about: Any) -> ProviderEvent:
    return ProviderEvent.objects.get(type=kind, **about)


def the_subscription() -> Subscription:
    return Subscription.objects.get()


def nothing_was_kept() -> bool:
    return not any(model.objects.exists() for model in (ProviderEvent, ProviderLink, Subscription))


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run the calls in threads of their own, all at the same time."""
    together = Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        try:
            together.wait()
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))
