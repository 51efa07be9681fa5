"""The few commands that the events of all providers come to. They merge in any order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias


@dataclass(frozen=True, kw_only=True)
class About:
    """What every command says of itself."""

    subject: str
    """The provider's id by which the subscription is found."""
    links: tuple[str, ...] = ()
    """More ids of the provider that from now on mean the same subscription."""
    amount: int | None = None
    """In minor units of `currency` (ISO 4217), for people and the books; none if it has none."""
    currency: str = ""


@dataclass(frozen=True, kw_only=True)
class Record(About):
    """It was paid for the first time. The values are as they came: nothing has checked them."""

    user_id: object
    email: object
    plan: object
    lacks: str
    """Where the provider has them, for whoever set it up: "user_id (…), email (…), plan (…)"."""


@dataclass(frozen=True, kw_only=True)
class Renew(About):
    """It is paid until then, exclusive; none if the invoice does not say until when."""

    until: datetime | None
    invoiced_at: datetime
    """When the invoice was made that was paid: of several, the latest decides what is due."""


@dataclass(frozen=True, kw_only=True)
class PastDue(About):
    """A payment failed, which would have paid it until then."""

    until: datetime | None
    invoiced_at: datetime


@dataclass(frozen=True, kw_only=True)
class Cancel(About):
    """It has ended."""


@dataclass(frozen=True, kw_only=True)
class Refund(About):
    """A whole payment for it was paid back, or taken back."""


@dataclass(frozen=True, kw_only=True)
class Link(About):
    """Nothing has changed; `links` are known from now on."""


@dataclass(frozen=True, kw_only=True)
class Note(About):
    """Nothing changes, and somebody has to look at it."""

    text: str
    """Why, for people."""


@dataclass(frozen=True, kw_only=True)
class Ignore:
    """The event changes no subscription."""

    reason: str


Command: TypeAlias = Record | Renew | PastDue | Cancel | Refund | Link | Note | Ignore
