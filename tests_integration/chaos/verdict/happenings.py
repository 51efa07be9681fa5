"""What the databases show to have happened, of all that clients hear of by webhook."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tools.system.rows import Rows

from .evidence import Happened
from .ids import as_id

PAYMENT, STUDENT = "payment_service", "student_service"

STATES = {
    "subscription.active": "access_code IS NOT NULL AND cancelled_at IS NULL",
    "subscription.past_due": "past_due_at IS NOT NULL",
    "subscription.cancelled": "cancelled_at IS NOT NULL AND refunded_at IS NULL",
    "subscription.refunded": "refunded_at IS NOT NULL",
    "subscription.mailed": "emailed_at IS NOT NULL",
    "subscription.redeemed": "uses_made > 0",
}
"""Which subscriptions each type of event was about, at least."""

ACTS = {"suspend": "access.suspended", "reinstate": "access.reinstated"}

REVOKED = """
    SELECT code.subscription_id FROM access_codes_accesscode AS code
    JOIN access_codes_revocation AS revoked ON revoked.subscription_id = code.subscription_id
    WHERE revoked.revoked_at > code.issued_at
"""
"""Without those that were revoked before they had a code: nobody hears of these."""


def on_the_payment_side(rows: Rows, renewed: Collection[str]) -> Iterator[Happened]:
    """`renewed` are the subscriptions whose renewal was accepted."""
    for kind, state in STATES.items():
        query = f"SELECT client, id FROM subscriptions_subscription WHERE {state}"
        for client, subscription in rows.all(query):
            yield Happened(PAYMENT, client, kind, as_id(subscription))
    alive = "SELECT client, id FROM subscriptions_subscription WHERE cancelled_at IS NULL"
    for client, subscription in rows.all(alive):
        if as_id(subscription) in renewed:
            yield Happened(PAYMENT, client, "subscription.renewed", as_id(subscription))
    complete = "SELECT client, id FROM subscriptions_order WHERE completed_at IS NOT NULL"
    for client, order in rows.all(complete):
        yield Happened(PAYMENT, client, "order.completed", as_id(order))


def on_the_student_side(rows: Rows) -> Iterator[Happened]:
    codes = "SELECT subscription_id, generation, uses FROM access_codes_accesscode"
    for subscription, generation, uses in rows.all(codes):
        known = as_id(subscription)
        for number in range(2, generation + 1):
            yield Happened(STUDENT, "", "access.replaced", known, number)
        for number in range(1, uses + 1):
            yield Happened(STUDENT, "", "access.redeemed", known, number)
    for (subscription,) in rows.all(REVOKED):
        yield Happened(STUDENT, "", "access.revoked", as_id(subscription))
    acts = "SELECT action, subject FROM acts_act WHERE area = 'access_codes'"
    for action, subscription in rows.all(acts):
        if action in ACTS:
            yield Happened(STUDENT, "", ACTS[action], as_id(subscription))
