"""All that the checker sees."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from tests_integration.chaos.load.publication import Published
from tests_integration.chaos.load.webhooks import Received, Receiver
from tests_integration.harness.mailbox import ReceivedMail

OTHER = {"payment_service": "student_service", "student_service": "payment_service"}
SIDES = tuple(OTHER)


class Sent(NamedTuple):
    """An outbox row."""

    event_id: str
    type: str
    subject: str
    published: bool


class Handled(NamedTuple):
    """An inbox row."""

    event_id: str
    type: str
    subject: str


class SetAside(NamedTuple):
    """A row of a set-aside message; only poison has a `mark`."""

    mark: str
    state: str
    event_id: str
    reason: str
    subject: str = ""


class Terms(NamedTuple):
    """Until when a code works, as one side knows it."""

    version: int
    valid_until: str


class Access(NamedTuple):
    """A subscription's code, as one side knows it."""

    generation: int
    uses: int
    suspended: bool
    """Whether an operator suspends it."""


class Intent(NamedTuple):
    """A mail row of the student side."""

    subscription: str
    message_id: str
    state: str
    attempts: int


class Happened(NamedTuple):
    """Something of which clients hear by webhook, as a database shows that it happened."""

    service: str
    client: str
    """Whose it is; empty: every client of the service hears of it."""
    type: str
    subject: str
    number: int = 0
    """Which of several, such as the second use."""


@dataclass(frozen=True)
class Evidence:
    accepted: Mapping[str, str]
    """User by subscription, from the answers to clients."""
    shown: Mapping[str, str | None]
    """Code by subscription, from the API."""
    recorded: Mapping[str, str]
    """User by subscription, from the payment database."""
    issued: Sequence[str]
    """Subscriptions with a code in the student database."""
    ordered: Collection[str]
    """Orders of several subscriptions, from the answers to clients."""
    orders: Mapping[str, bool]
    """Whether each order in the payment database is complete."""
    cancelled: Collection[str]
    """Subscriptions whose cancellation was accepted."""
    shown_cancelled: Collection[str]
    """Subscriptions that the API shows as cancelled."""
    revoked: Collection[str]
    """Subscriptions whose code is revoked in the student database."""
    confirmed: Collection[str]
    """Subscriptions whose code is known to be revoked in the payment database."""
    replaced: Mapping[str, Collection[str]]
    """Codes that were replaced, by subscription, from the answers to the operator."""
    older_codes: Mapping[str, Collection[str]]
    """Codes that the API showed before the one that it shows now, by subscription."""
    suspended: Collection[str]
    """Subscriptions that the operator has suspended and not reinstated."""
    redeemed: Mapping[str, Collection[str]]
    """References of redemptions that let in, by subscription, from the answers to platforms."""
    allowed: Mapping[str, int]
    """How often a code may be redeemed, by subscription; where nothing stands, any number."""
    access: Mapping[str, Mapping[str, Access]]
    """What either service knows of each code that anything has happened to, from its database."""
    lets_in: Mapping[str, Collection[str]]
    """Which codes of a subscription let in at the end. Asked of all in `access`."""
    renewed: Mapping[str, str]
    """The day to which each subscription is paid at least, of those whose renewal was accepted."""
    terms: Mapping[str, Mapping[str, Terms]]
    """Terms by subscription, from the database of each service."""
    paid: Set[str]
    """Checkouts that Stripe has reported as paid."""
    sold: Mapping[str, str]
    """Subscription by checkout, from the payment database."""
    taken: Set[str]
    """Ids of Stripe's events that were taken, from the answers to Stripe."""
    kept: Mapping[str, str]
    """The state of each of Stripe's events in the payment database, by its id."""
    erased: Collection[str]
    """Subscriptions that were erased, or were to be."""
    tombstones: Mapping[str, Mapping[str, bool]]
    """Erased subscriptions in the database of each service, and whether all is done about them."""
    happened: Collection[Happened]
    listening: Mapping[Receiver, Collection[str]]
    """The types of events that each receiver of webhooks is to get."""
    received: Sequence[Received]
    """Webhooks as they came."""
    followed: Sequence[str]
    """Requests that followed a redirect."""
    intents: Sequence[Intent]
    mails: Sequence[ReceivedMail]
    sent: Mapping[str, Sequence[Sent]]
    handled: Mapping[str, Sequence[Handled]]
    set_aside: Mapping[str, Sequence[SetAside]]
    published: Published
    anomalies: Sequence[str]
    """Wrong answers that clients got."""
