"""All that the checker may know: the two APIs, the two databases by SQL, the mailbox, the load."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from tests_integration.chaos.load.publication import MARK, Published
from tests_integration.harness.mailbox import Mail, Mailbox
from tests_integration.harness.payments import Payments
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


class Aside(NamedTuple):
    """A message that was set aside; `mark` is empty unless it is our own poison."""

    mark: str
    state: str
    event_id: str
    reason: str


class Intent(NamedTuple):
    """A mail that the student side has written down."""

    subscription: str
    message_id: str
    state: str
    attempts: int


@dataclass(frozen=True)
class Evidence:
    accepted: Mapping[str, str]
    """User by the id of each subscription that a client was answered with."""
    shown: Mapping[str, str | None]
    """Code by id of each subscription that the API lists."""
    recorded: Mapping[str, str]
    """User by id of each row of the payment side."""
    issued: Sequence[str]
    """Subscription of each code of the student side."""
    cancelled: Collection[str]
    """Subscriptions whose cancellation a client was answered."""
    shown_cancelled: Collection[str]
    """Those that the API lists as cancelled."""
    revoked: Collection[str]
    """Those whose code the student side takes for revoked."""
    confirmed: Collection[str]
    """Those of which the payment side knows that."""
    intents: Sequence[Intent]
    mails: Sequence[Mail]
    sent: Mapping[str, Sequence[Sent]]
    handled: Mapping[str, Sequence[Handled]]
    aside: Mapping[str, Sequence[Aside]]
    published: Published
    wrong: Sequence[str]
    """What clients noticed themselves."""


@dataclass(frozen=True)
class Sources:
    """Where the evidence is found."""

    payments: Payments
    mailbox: Mailbox
    database_urls: Mapping[str, str]


def gather(
    sources: Sources,
    *,
    accepted: Mapping[str, str],
    cancelled: Collection[str],
    published: Published,
    wrong: Sequence[str],
) -> Evidence:
    """Look at everything. Raises `OSError` or a database's error if something does not answer."""
    listed = list(sources.payments.listed())
    sent, handled, aside = {}, {}, {}
    for service, url in sources.database_urls.items():
        with closing(Rows(url)) as rows:
            sent[service] = _sent(rows)
            handled[service] = _handled(rows)
            aside[service] = _aside(rows)
    with closing(Rows(sources.database_urls["payment_service"])) as rows:
        bought = rows.all("SELECT id, user_id FROM subscriptions_subscription")
        confirmed = rows.all(
            "SELECT id FROM subscriptions_subscription WHERE code_revoked_at IS NOT NULL"
        )
    with closing(Rows(sources.database_urls["student_service"])) as rows:
        codes = rows.all("SELECT subscription_id FROM access_codes_accesscode")
        revoked = rows.all("SELECT subscription_id FROM access_codes_revocation")
        intents = rows.all(
            "SELECT access_code_id, message_id, state, attempts FROM access_codes_mailintent"
        )
    return Evidence(
        accepted=accepted,
        shown={shown["id"]: shown["access_code"] for shown in listed},
        recorded={_id(subscription): str(user) for subscription, user in bought},
        issued=[_id(subscription) for (subscription,) in codes],
        cancelled=cancelled,
        shown_cancelled={shown["id"] for shown in listed if shown["status"] == "cancelled"},
        revoked={_id(subscription) for (subscription,) in revoked},
        confirmed={_id(subscription) for (subscription,) in confirmed},
        intents=[Intent(_id(subscription), *rest) for subscription, *rest in intents],
        mails=[mail for mails in sources.mailbox.by_recipient().values() for mail in mails],
        sent=sent,
        handled=handled,
        aside=aside,
        published=published,
        wrong=wrong,
    )


def _sent(rows: Rows) -> list[Sent]:
    outbox = rows.all("SELECT event_id, type, subject, published_at FROM messaging_outbox")
    return [Sent(event, kind, subject, at is not None) for event, kind, subject, at in outbox]


def _handled(rows: Rows) -> list[Handled]:
    return [
        Handled(*row) for row in rows.all("SELECT event_id, type, subject FROM messaging_inbox")
    ]


def _aside(rows: Rows) -> list[Aside]:
    kept = rows.all("SELECT headers, state, event_id, reason FROM messaging_set_aside")
    return [Aside(_mark(headers), *rest) for headers, *rest in kept]


WAITING = (
    "SELECT 1 FROM messaging_outbox WHERE published_at IS NULL LIMIT 1",
    "SELECT 1 FROM messaging_set_aside WHERE state = 'retrying' LIMIT 1",
)
WAITING_MAIL = "SELECT 1 FROM access_codes_mailintent WHERE next_attempt_at IS NOT NULL LIMIT 1"


def is_quiet(database_urls: Mapping[str, str]) -> bool:
    """Whether no row of either side waits for something."""
    for service, url in database_urls.items():
        questions = [*WAITING, *([WAITING_MAIL] if service == "student_service" else [])]
        with closing(Rows(url)) as rows:
            if any(rows.exist(question) for question in questions):
                return False
    return True


def _id(value: Any) -> str:
    """A UUID as the API writes it: SQLite keeps it without hyphens."""
    return str(UUID(str(value)))


def _mark(headers: Any) -> str:
    kept = headers if isinstance(headers, dict) else json.loads(headers or "{}")
    return str(kept.get(MARK, "")).strip("'\"")
