"""Makes events as Stripe sends them, for tests and the demo, and signs them as Stripe does."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from .stripe import API_VERSION

PERIOD = timedelta(days=30)


def _today() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True, kw_only=True)
class Sale:
    """What somebody buys by a checkout. Its name is in all of its ids."""

    name: str
    mode: str = "subscription"
    live: bool = False
    user_id: str | None = "user-42"
    email: str | None = "ada@example.com"
    plan: str | None = "gold"
    amount: int = 4900
    currency: str = "eur"
    paid: str = "paid"
    """The `payment_status` of the checkout."""
    begins: datetime | None = None

    def id(self, kind: str, period: int | None = None) -> str:
        """An id of Stripe, such as that of the second invoice: `id("in", 2)`."""
        mode = f"{'live' if self.live else 'test'}_" if kind == "cs" else ""
        return f"{kind}_{mode}{self.name}{'' if period is None else f'_{period}'}"

    def seconds(self, periods: int) -> int:
        """When so many periods have ended, in seconds since 1970."""
        return int(((self.begins or _today()) + periods * PERIOD).timestamp())


def event(
    kind: str, sale: Sale, *, period: int = 1, refunded: int | None = None, status: str = ""
) -> dict[str, Any]:
    """An event of this type about a sale. Raises `KeyError` for a type that is not in `OBJECTS`.

    `period` counts from 1; `refunded`: the amount paid back, by default all; `status`: that of the
    object, such as a dispute, instead of the usual one.
    """
    made = OBJECTS[kind](sale, period)
    if refunded is not None:
        made |= {"amount_refunded": refunded, "refunded": refunded == sale.amount}
    if status:
        made["status"] = status
    if made["object"] != "refund":  # which does not say it
        made["livemode"] = sale.live
    which = status or (period if refunded is None else refunded)
    return {
        "id": f"evt_{sale.name}_{kind.replace('.', '_')}_{which}",
        "object": "event",
        "api_version": API_VERSION,
        "created": sale.seconds(period - 1),
        "data": {"object": made},
        "livemode": sale.live,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }


def written(made: Mapping[str, Any]) -> bytes:
    """The body of a request with this event."""
    return json.dumps(made, indent=2).encode()


def signature(body: bytes, secret: str, *, ago: int = 0) -> str:
    """The header `Stripe-Signature`, made so many seconds ago (docs.stripe.com/webhooks)."""
    at = int(time.time()) - ago
    signed = hmac.digest(secret.encode(), f"{at}.".encode() + body, hashlib.sha256)
    return f"t={at},v1={signed.hex()}"


def _checkout(sale: Sale, _: int) -> dict[str, Any]:
    repeats = sale.mode == "subscription"
    return {
        "id": sale.id("cs"),
        "object": "checkout.session",
        "amount_subtotal": sale.amount,
        "amount_total": sale.amount,
        "client_reference_id": sale.user_id,
        "currency": sale.currency,
        "customer": sale.id("cus"),
        "customer_details": {"email": sale.email, "name": "Ada Lovelace", "phone": None},
        "customer_email": None,
        "invoice": sale.id("in", 1) if repeats else None,
        "metadata": {} if sale.plan is None else {"plan": sale.plan},
        "mode": sale.mode,
        "payment_intent": None if repeats else sale.id("pi", 1),
        "payment_status": sale.paid,
        "status": "complete",
        "subscription": sale.id("sub") if repeats else None,
    }


def _invoice(sale: Sale, period: int) -> dict[str, Any]:
    subscription = sale.id("sub")
    line = {
        "id": sale.id("il", period),
        "object": "line_item",
        "amount": sale.amount,
        "currency": sale.currency,
        "parent": {
            "type": "subscription_item_details",
            "subscription_item_details": {"subscription": subscription, "proration": False},
        },
        "period": {"start": sale.seconds(period - 1), "end": sale.seconds(period)},
        "quantity": 1,
    }
    return {
        "id": sale.id("in", period),
        "object": "invoice",
        "amount_due": sale.amount,
        "amount_paid": sale.amount,
        "billing_reason": "subscription_create" if period == 1 else "subscription_cycle",
        "created": sale.seconds(period - 1),
        "currency": sale.currency,
        "customer": sale.id("cus"),
        "customer_email": sale.email,
        "lines": {"object": "list", "data": [line], "has_more": False, "total_count": 1},
        "parent": {
            "type": "subscription_details",
            "subscription_details": {"subscription": subscription, "metadata": {}},
        },
        "period_end": sale.seconds(period - 1),
        "period_start": sale.seconds(period - 1),
        "status": "paid",
    }


def _failed_invoice(sale: Sale, period: int) -> dict[str, Any]:
    return {**_invoice(sale, period), "amount_paid": 0, "attempt_count": 1, "status": "open"}


def _invoice_payment(sale: Sale, period: int) -> dict[str, Any]:
    return {
        "id": sale.id("inpay", period),
        "object": "invoice_payment",
        "amount_paid": sale.amount,
        "amount_requested": sale.amount,
        "currency": sale.currency,
        "invoice": sale.id("in", period),
        "is_default": True,
        "payment": {"type": "payment_intent", "payment_intent": sale.id("pi", period)},
        "status": "paid",
    }


def _subscription(sale: Sale, _: int) -> dict[str, Any]:
    return {
        "id": sale.id("sub"),
        "object": "subscription",
        "cancel_at_period_end": False,
        "currency": sale.currency,
        "customer": sale.id("cus"),
        "metadata": {},
        "status": "canceled",
    }


def _charge(sale: Sale, period: int) -> dict[str, Any]:
    return {
        "id": sale.id("ch", period),
        "object": "charge",
        "amount": sale.amount,
        "amount_captured": sale.amount,
        "amount_refunded": sale.amount,
        "billing_details": {"email": sale.email, "name": "Ada Lovelace"},
        "currency": sale.currency,
        "customer": sale.id("cus"),
        "payment_intent": sale.id("pi", period),
        "refunded": True,
        "status": "succeeded",
    }


def _dispute(sale: Sale, period: int) -> dict[str, Any]:
    return {
        "id": sale.id("dp", period),
        "object": "dispute",
        "amount": sale.amount,
        "charge": sale.id("ch", period),
        "currency": sale.currency,
        "is_charge_refundable": False,
        "metadata": {},
        "payment_intent": sale.id("pi", period),
        "reason": "fraudulent",
        "status": "needs_response",
    }


def _lost_dispute(sale: Sale, period: int) -> dict[str, Any]:
    return {**_dispute(sale, period), "status": "lost"}


def _failed_refund(sale: Sale, period: int) -> dict[str, Any]:
    return {
        "id": sale.id("re", period),
        "object": "refund",
        "amount": sale.amount,
        "charge": sale.id("ch", period),
        "currency": sale.currency,
        "failure_reason": "lost_or_stolen_card",
        "metadata": {},
        "payment_intent": sale.id("pi", period),
        "status": "failed",
    }


def _person(sale: Sale, _: int) -> dict[str, Any]:
    return {"id": sale.id("cus"), "object": "customer", "email": sale.email, "metadata": {}}


OBJECTS: Mapping[str, Callable[[Sale, int], dict[str, Any]]] = {
    "checkout.session.completed": _checkout,
    "checkout.session.async_payment_succeeded": _checkout,
    "invoice.paid": _invoice,
    "invoice.payment_failed": _failed_invoice,
    "invoice_payment.paid": _invoice_payment,
    "customer.subscription.deleted": _subscription,
    "charge.refunded": _charge,
    "charge.dispute.created": _dispute,
    "charge.dispute.closed": _lost_dispute,
    "refund.failed": _failed_refund,
    "customer.updated": _person,
}
"""What each event is about; the last one stands for those that change nothing."""
