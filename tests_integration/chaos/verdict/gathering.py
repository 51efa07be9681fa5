"""Gathers the evidence: from the APIs, both databases through SQL, the mailbox and the actors."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import ExitStack, closing
from http import HTTPStatus
from typing import Any

from tests_integration.chaos.load import webhooks
from tests_integration.chaos.load.actors import Actors
from tests_integration.chaos.load.clients import RENEWED_UNTIL
from tests_integration.chaos.load.publication import MARK
from tests_integration.harness.api import Api
from tests_integration.harness.deployment import Deployment
from tools.system.rows import Rows

from . import happenings
from .evidence import Access, Evidence, Handled, Intent, Sent, SetAside, Terms
from .ids import as_id


def gather(deployment: Deployment, student_api: Api, actors: Actors) -> Evidence:
    """Collect the evidence. Raises `OSError` or a database error if something does not answer."""
    clients, operator, stripe = actors.clients, actors.operator, actors.stripe
    shown = deployment.payments.whole() + stripe.shop.whole()
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
        orders = payment.all("SELECT id, completed_at IS NOT NULL FROM subscriptions_order")
        codes = student.all("SELECT subscription_id FROM access_codes_accesscode")
        revoked = student.all("SELECT subscription_id FROM access_codes_revocation")
        intents = student.all(
            "SELECT access_code_id, message_id, state, attempts FROM access_codes_mailintent"
        )
        terms = {service: _terms(sides[service], query) for service, query in TERMS.items()}
        access = {service: _access(sides[service], query) for service, query in ACCESS.items()}
        sent = {service: _sent(rows) for service, rows in sides.items()}
        handled = {service: _handled(rows) for service, rows in sides.items()}
        set_aside = {service: _set_aside(rows) for service, rows in sides.items()}
        tombstones = {service: _tombstones(rows) for service, rows in sides.items()}
        sold = {checkout: as_id(id_) for checkout, id_ in payment.all(SOLD, "cs_live_%")}
        events = payment.all("SELECT event_id, state FROM providers_providerevent")
        renewed = dict.fromkeys(clients.renewed.copy(), RENEWED_UNTIL[:DAY])
        renewed |= _by_subscription(stripe.paid_until, sold)
        happened = {
            *happenings.on_the_payment_side(payment, renewed),
            *happenings.on_the_student_side(student),
        }
    erased = actors.erased.copy()
    codes_of = {
        each.id: {each.access_code, clients.codes.get(each.id), *operator.replaced.get(each.id, ())}
        for each in shown
    }
    used = set().union(*access.values(), erased)
    cancelled = clients.cancelled | {sold[each] for each in stripe.ended & sold.keys()}
    return Evidence(
        accepted={
            **{id_: str(order.body["user_id"]) for id_, order in clients.accepted.items()},
            **_by_subscription(stripe.paid, sold),
        },
        shown={each.id: each.access_code for each in shown},
        recorded={as_id(subscription): str(user) for subscription, user in recorded},
        issued=[as_id(subscription) for (subscription,) in codes],
        ordered=set(clients.orders),
        orders={as_id(order): bool(is_complete) for order, is_complete in orders},
        cancelled=cancelled,
        shown_cancelled={each.id for each in shown if each.status in ENDED},
        revoked={as_id(subscription) for (subscription,) in revoked},
        confirmed={as_id(subscription) for (subscription,) in confirmed},
        replaced=operator.replaced.copy(),
        older_codes=clients.older_codes.copy(),
        suspended=operator.suspended.copy(),
        redeemed=actors.platforms.redeemed.copy(),
        allowed={
            id_: order.body["uses"]
            for id_, order in clients.accepted.items()
            if "uses" in order.body
        },
        access=access,
        lets_in={id_: _let_in(student_api, codes_of.get(id_, ())) for id_ in used},
        renewed=renewed,
        terms=terms,
        paid=set(stripe.paid),
        sold=sold,
        taken=stripe.taken.copy(),
        kept={str(event): str(state) for event, state in events},
        erased=erased,
        tombstones=tombstones,
        happened=happened,
        listening=actors.receivers.listening,
        received=actors.receivers.received.copy(),
        followed=actors.receivers.followed,
        intents=[Intent(as_id(subscription), *rest) for subscription, *rest in intents],
        mails=[mail for mails in deployment.mailbox.by_recipient().values() for mail in mails],
        sent=sent,
        handled=handled,
        set_aside=set_aside,
        published=actors.third_parties.published,
        anomalies=actors.anomalies,
    )


ENDED = {"cancelled", "refunded"}

DAY = len("2099-01-01")

SOLD = """
    SELECT external_id, subscription_id FROM providers_providerlink
    WHERE external_id LIKE ? AND subscription_id IS NOT NULL
"""


def _by_subscription(by_checkout: Mapping[str, str], sold: Mapping[str, str]) -> dict[str, str]:
    return {sold[each]: value for each, value in dict(by_checkout).items() if each in sold}


TERMS = {
    "payment_service": (
        "SELECT id, terms_version, valid_until FROM subscriptions_subscription "
        "WHERE terms_version > 0"
    ),
    "student_service": "SELECT subscription_id, version, valid_until FROM access_codes_terms",
}


def _terms(rows: Rows, query: str) -> dict[str, Terms]:
    return {
        as_id(subscription): Terms(version, str(until))
        for subscription, version, until in rows.all(query)
    }


ACCESS = {
    "payment_service": (
        "SELECT id, code_generation, uses_made, suspended_by_operator "
        "FROM subscriptions_subscription "
        "WHERE code_generation > 1 OR uses_made > 0 OR suspension_version > 0"
    ),
    "student_service": (
        "SELECT subscription_id, generation, uses, EXISTS (SELECT 1 "
        "FROM access_codes_suspension AS by WHERE by.subscription_id = code.subscription_id "
        "AND by.maker = 'operator') FROM access_codes_accesscode AS code "
        "WHERE generation > 1 OR uses > 0 OR suspension_version > 0"
    ),
}


def _access(rows: Rows, query: str) -> dict[str, Access]:
    return {
        as_id(subscription): Access(generation, uses, bool(suspended))
        for subscription, generation, uses, suspended in rows.all(query)
    }


def _let_in(student_api: Api, codes: Collection[str | None]) -> set[str]:
    """Those of the codes that let in now. Raises `OSError` if the service does not answer."""
    return {code for code in codes if code is not None and _lets_in(student_api, code)}


def _lets_in(student_api: Api, code: str) -> bool:
    answer = student_api.call("POST", "/v1/access-codes/validate", {"code": code})
    if answer.status != HTTPStatus.OK:
        raise OSError(f"a code was not validated: {answer}")
    return bool(answer.body["valid"])


def _sent(rows: Rows) -> list[Sent]:
    outbox = rows.all("SELECT event_id, type, subject, published_at FROM messaging_outbox")
    return [Sent(event, kind, subject, at is not None) for event, kind, subject, at in outbox]


def _handled(rows: Rows) -> list[Handled]:
    return [
        Handled(*row) for row in rows.all("SELECT event_id, type, subject FROM messaging_inbox")
    ]


def _set_aside(rows: Rows) -> list[SetAside]:
    kept = rows.all("SELECT headers, state, event_id, reason, subject FROM messaging_set_aside")
    return [SetAside(_mark(headers), *rest) for headers, *rest in kept]


def _tombstones(rows: Rows) -> dict[str, bool]:
    stones = rows.all("SELECT subject, erased_at, next_request_at FROM messaging_tombstone")
    return {subject: at is not None and again is None for subject, at, again in stones}


WAITING = (
    "SELECT 1 FROM messaging_outbox WHERE published_at IS NULL LIMIT 1",
    "SELECT 1 FROM messaging_set_aside WHERE state = 'retrying' LIMIT 1",
    "SELECT 1 FROM messaging_tombstone WHERE erased_at IS NULL OR next_request_at IS NOT NULL",
)
WAITING_OF = {
    "payment_service": "SELECT 1 FROM providers_providerevent WHERE state = 'received'",
    "student_service": "SELECT 1 FROM access_codes_mailintent WHERE next_attempt_at IS NOT NULL",
}
WAITING_WEBHOOK = """
    SELECT 1 FROM webhooks_delivery AS delivery
    JOIN webhooks_endpoint AS endpoint ON endpoint.id = delivery.endpoint_id
    WHERE delivery.state = 'pending' AND endpoint.url LIKE ? LIMIT 1
"""


def is_idle(database_urls: Mapping[str, str]) -> bool:
    """Whether no row of either side is waiting to be worked on."""
    for service, url in database_urls.items():
        with closing(Rows(url)) as rows:
            if any(rows.exist(query) for query in (*WAITING, WAITING_OF[service])):
                return False
            if rows.exist(WAITING_WEBHOOK, webhooks.WAITING):
                return False
    return True


def _mark(headers: Any) -> str:
    kept = headers if isinstance(headers, dict) else json.loads(headers or "{}")
    return str(kept.get(MARK, "")).strip("'\"")
