"""What is reported of a subscription when it is paid."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict, cast


class Paid(TypedDict):
    """What was paid, and by whom: the fields that the API, the rows and the events share.

    `amount` is in minor units of `currency` (ISO 4217).
    """

    user_id: str
    email: str
    plan: str
    amount: int
    currency: str


def paid_of(source: Any) -> Paid:
    """The fields of `Paid`, of a row or an event."""
    return cast("Paid", {name: getattr(source, name) for name in Paid.__annotations__})


class TermsOf(TypedDict, total=False):
    """From when until when the code works, and how often; without any, for good."""

    valid_from: datetime | None
    valid_until: datetime | None
    uses: int | None


class OwnWords(TypedDict, total=False):
    """What the client calls it and notes with it, for itself alone: no event and no log has it."""

    reference: str | None
    metadata: dict[str, str] | None


class Mailed(TypedDict, total=False):
    """How the user is written to."""

    language: str | None


class NewSubscription(Paid, TermsOf, Mailed, OwnWords):
    """What is reported of a subscription when it is paid."""
