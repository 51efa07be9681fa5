"""What happens to a sale, as Stripe reports it, and what others forge."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from providers.fake_stripe import Sale, event, signature

Made = dict[str, Any]
"""An event as Stripe makes it."""

PAID_LATER = 0.1
"""Share of checkouts that are not paid at once, and half of them never."""

RENEWED = 0.3
"""Share of sales with a second period, whose first payment fails."""

ENDED = 0.15
"""Share of sales that end by a refund or by themselves."""

CHECKOUT, PAID_AFTERWARDS = "checkout.session.completed", "checkout.session.async_payment_succeeded"
INVOICE_PAID, INVOICE_FAILED = "invoice.paid", "invoice.payment_failed"
PAYMENT, OVER, REFUND = "invoice_payment.paid", "customer.subscription.deleted", "charge.refunded"

OTHER_SECRET = "whsec_" + "0123456789abcdef" * 3


def new_sale(draw: random.Random) -> Sale:
    """A sale to a new user, whose checkout may not be paid yet."""
    name = secrets.token_hex(8)
    user = f"u-{name}"
    paid = "unpaid" if draw.random() < PAID_LATER else "paid"
    return Sale(name=name, live=True, user_id=user, email=f"{user}@example.com", paid=paid)


def life(sale: Sale, draw: random.Random) -> Iterator[tuple[Made, int]]:
    """The events of a sale, and the period that each is about."""
    yield event(CHECKOUT, sale), 1
    if sale.paid == "unpaid":
        if draw.random() < 0.5:
            return
        yield event(PAID_AFTERWARDS, replace(sale, paid="paid")), 1
    yield event(INVOICE_PAID, sale), 1
    yield event(PAYMENT, sale), 1
    if draw.random() < RENEWED:
        for kind in (INVOICE_FAILED, INVOICE_PAID, PAYMENT):
            yield event(kind, sale, period=2), 2
    if draw.random() < ENDED:
        yield event(draw.choice([OVER, REFUND]), sale), 1


def forged(number: int, real: Sequence[Sale], draw: random.Random) -> tuple[Made, Sale]:
    """A checkout that nobody made, or the end of a real sale."""
    kind = draw.choice([CHECKOUT, OVER, REFUND]) if real else CHECKOUT
    sale = new_sale(draw) if kind == CHECKOUT else draw.choice(real)
    return event(kind, replace(sale, paid="paid")) | {"id": f"evt_forged_{number}"}, sale


def forgeries(secret: str) -> Sequence[Callable[[bytes], str]]:
    """Signatures of a body that do not prove that it comes from Stripe now."""
    return (
        lambda _: "",
        lambda body: signature(body, OTHER_SECRET),
        lambda body: signature(body, secret, ago=360),
        lambda body: signature(body + b" ", secret),
    )
