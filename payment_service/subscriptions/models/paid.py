"""What was paid: the one list that the API, the rows and the events share."""

from __future__ import annotations

from typing import Any, TypedDict, cast


class Paid(TypedDict):
    """What was paid, and by whom. `amount` is in minor units of `currency` (ISO 4217)."""

    user_id: str
    email: str
    plan: str
    amount: int
    currency: str


def paid_of(source: Any) -> Paid:
    """What was paid, as a row or an event has it."""
    return cast("Paid", {name: getattr(source, name) for name in Paid.__annotations__})
