"""All that the checker sees: the API, both databases through SQL, the mailbox and the load."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from tests_integration.chaos.load.clients import Clients
from tests_integration.chaos.load.publication import MARK, Published
from tests_integration.harness.deployment import Deployment
from tests_integration.harness.mailbox import ReceivedMail
from tools.system.rows import Rows


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


class Terms(NamedTuple):
    """Until when a code works, as one side knows it."""

    version: int
    valid_until: str


class Intent(NamedTuple):
    """A mail row of the student side."""

    subscription: str
    message_id: str
    state: str
    attempts: int


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
    cancelled: Collection[str]
    """Subscriptions whose cancellation was accepted."""
    shown_cancelled: Collection[str]
    """Subscriptions that the API shows as cancelled."""
    revoked: Collection[str]
    """Subscriptions whose code is revoked in the student database."""
    confirmed: Collection[str]
    """Subscriptions whose code is known to be revoked in the payment database."""
    renewed: Collection[str]
    """Subscriptions whose renewal was accepted."""
    terms: Mapping[str, Mapping[str, Terms]]
    """Terms by subscription, from the database of each service."""
    intents: Sequence[Intent]
    mails: Sequence[ReceivedMail]
    sent: Mapping[str, Sequence[Sent]]
    handled: Mapping[str, Sequence[Handled]]
    set_aside: Mapping[str, Sequence[SetAside]]
    published: Published
    anomalies: Sequence[str]
    """Wrong answers that clients got."""


def gather(deployment: Deployment, clients: Clients, published: Published) -> Evidence:
    """Collect the evidence. Raises `OSError` or a database error if something does not answer."""
    shown = deployment.payments.whole()
    with ExitStack() as stack:
        sides = {
            service: stack.enter_context(closing(Rows(url)))
            for service, url in deployment.place.database_urls.items()
        }
        payment, student = sides["payment_service"], sides["student_service"]
        recorded = payment.all("SELECT id, user_id FROM subscriptions_subscription")
        confirmed = payment.all(
            "SELECT id FROM subscriptions_subscription WHERE code_revoked_at IS NOT NULL"
        )
        codes = student.all("SELECT subscription_id FROM access_codes_accesscode")
        revoked = student.all("SELECT subscription_id FROM access_codes_revocation")
        intents = student.all(
            "SELECT access_code_id, message_id, state, attempts FROM access_codes_mailintent"
        )
        terms = {service: _terms(sides[service], query) for service, query in TERMS.items()}
        sent = {service: _sent(rows) for service, rows in sides.items()}
        handled = {service: _handled(rows) for service, rows in sides.items()}
        set_aside = {service: _set_aside(rows) for service, rows in sides.items()}
    return Evidence(
        accepted={id_: str(order.body["user_id"]) for id_, order in clients.accepted.items()},
        shown={each.id: each.access_code for each in shown},
        recorded={_id(subscription): str(user) for subscription, user in recorded},
        issued=[_id(subscription) for (subscription,) in codes],
        cancelled=clients.cancelled.copy(),
        shown_cancelled={each.id for each in shown if each.status in ENDED},
        revoked={_id(subscription) for (subscription,) in revoked},
        confirmed={_id(subscription) for (subscription,) in confirmed},
        renewed=clients.renewed.copy(),
        terms=terms,
        intents=[Intent(_id(subscription), *rest) for subscription, *rest in intents],
        mails=[mail for mails in deployment.mailbox.by_recipient().values() for mail in mails],
        sent=sent,
        handled=handled,
        set_aside=set_aside,
        published=published,
        anomalies=clients.anomalies,
    )


ENDED = {"cancelled", "refunded"}

TERMS = {
    "payment_service": (
        "SELECT id, terms_version, valid_until FROM subscriptions_subscription "
        "WHERE terms_version > 0"
    ),
    "student_service": "SELECT subscription_id, version, valid_until FROM access_codes_terms",
}


def _terms(rows: Rows, query: str) -> dict[str, Terms]:
    return {
        _id(subscription): Terms(version, str(until))
        for subscription, version, until in rows.all(query)
    }


def _sent(rows: Rows) -> list[Sent]:
    outbox = rows.all("SELECT event_id, type, subject, published_at FROM messaging_outbox")
    return [Sent(event, kind, subject, at is not None) for event, kind, subject, at in outbox]


def _handled(rows: Rows) -> list[Handled]:
    return [
        Handled(*row) for row in rows.all("SELECT event_id, type, subject FROM messaging_inbox")
    ]


def _set_aside(rows: Rows) -> list[SetAside]:
    kept = rows.all("SELECT headers, state, event_id, reason FROM messaging_set_aside")
    return [SetAside(_mark(headers), *rest) for headers, *rest in kept]


WAITING = (
    "SELECT 1 FROM messaging_outbox WHERE published_at IS NULL LIMIT 1",
    "SELECT 1 FROM messaging_set_aside WHERE state = 'retrying' LIMIT 1",
)
WAITING_MAIL = "SELECT 1 FROM access_codes_mailintent WHERE next_attempt_at IS NOT NULL LIMIT 1"


def is_idle(database_urls: Mapping[str, str]) -> bool:
    """Whether no row of either side is waiting to be worked on."""
    for service, url in database_urls.items():
        queries = [*WAITING, *([WAITING_MAIL] if service == "student_service" else [])]
        with closing(Rows(url)) as rows:
            if any(rows.exist(query) for query in queries):
                return False
    return True


def _id(value: Any) -> str:
    """A UUID as the API writes it; SQLite stores it without hyphens."""
    return str(UUID(str(value)))


def _mark(headers: Any) -> str:
    kept = headers if isinstance(headers, dict) else json.loads(headers or "{}")
    return str(kept.get(MARK, "")).strip("'\"")
