"""The events that we make and read have the shapes that the `stripe` library knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
import stripe as library
from providers import stripe
from providers.fake_stripe import OBJECTS, event, signature, written

from tests.providers.stripe_steps import ONCE, PAID, PAYMENT, SALE, SECRET

KINDS: dict[str, Any] = {
    "checkout.session": library.checkout.Session,
    "invoice": library.Invoice,
    "invoice_payment": library.InvoicePayment,
    "subscription": library.Subscription,
    "charge": library.Charge,
    "dispute": library.Dispute,
    "refund": library.Refund,
    "customer": library.Customer,
}
EMPTY = frozenset({"metadata"})
"""Objects whose fields are the seller's own."""


@pytest.mark.parametrize("kind", OBJECTS)
def test_the_library_verifies_and_reads_what_we_make(kind: str) -> None:
    body = written(event(kind, SALE))
    read = library.Webhook.construct_event(body, signature(body, SECRET), SECRET)

    assert (read.type, read.api_version) == (kind, library.api_version)
    assert type(read.data.object) is KINDS[read.data.object["object"]]


@pytest.mark.parametrize("kind", OBJECTS)
@pytest.mark.parametrize("sale", [SALE, ONCE], ids=["subscription", "payment"])
def test_every_field_that_we_make_is_one_of_stripes(kind: str, sale: Any) -> None:
    made = event(kind, sale)["data"]["object"]

    assert list(unknown(made, KINDS[made["object"]])) == []


def unknown(made: dict[str, Any], kind: Any, path: str = "") -> Iterator[str]:
    """The fields that the library's class does not have, in it and in its inner classes."""
    for name, value in made.items():
        if name not in kind.__annotations__:
            yield f"{path}{name}"
        inner = kind._inner_class_types.get(name)
        if isinstance(value, dict) and inner is not None and name not in EMPTY:
            yield from unknown(value, inner, f"{path}{name}.")


def test_the_lines_of_an_invoice_have_the_fields_of_stripes() -> None:
    [line] = event(PAID, SALE)["data"]["object"]["lines"]["data"]

    assert list(unknown(line, library.InvoiceLineItem)) == []


def test_an_invoice_and_its_payment_are_joined_as_stripe_joins_them() -> None:
    payment = event(PAYMENT, SALE)["data"]["object"]

    assert payment["invoice"] == event(PAID, SALE)["data"]["object"]["id"]
    assert "payment_intent" in library.InvoicePayment.Payment.__annotations__
    assert "invoice" not in library.Charge.__annotations__


def test_every_type_that_we_read_is_one_of_stripes() -> None:
    types = get_args(library.Event.__annotations__["type"])

    assert set(OBJECTS) | set(stripe.READERS) <= set(types)
