"""Evidence of clean runs; each test of the checker changes one thing in it."""

from __future__ import annotations

import json
from dataclasses import replace

from tests_integration.chaos.load.publication import Published
from tests_integration.chaos.load.webhooks import Received, Receiver
from tests_integration.chaos.verdict.evidence import (
    Access,
    Evidence,
    Handled,
    Happened,
    Intent,
    Sent,
    SetAside,
    Terms,
)
from tests_integration.harness.mailbox import ReceivedMail

ONE, TWO = "s1", "s2"
REQUESTS = [Sent("r1", "user_subscribed", ONE, True), Sent("r2", "user_subscribed", TWO, True)]
REPLIES = [
    Sent("a1", "access_code_created", ONE, True),
    Sent("a2", "access_code_created", TWO, True),
]
MAILS = [
    ReceivedMail("1@example.com", "<m1>", ("C-1",)),
    ReceivedMail("2@example.com", "<m2>", ("C-2",)),
]
POISON = SetAside("poison 1", "dead", "", "not JSON")

RENEWED = Terms(2, "2099-01-01 00:00:00+00:00")

SHOP = Receiver("payment_service", "shop", "good")
PLATFORM = Receiver("student_service", "platform", "good")
AN_ID = "019ac000-0000-7000-8000-000000000001"
ACTIVE = Happened("payment_service", "shop", "subscription.active", AN_ID)
CANCELLED = ACTIVE._replace(type="subscription.cancelled")
REDEEMED = Happened("student_service", "", "access.redeemed", AN_ID, 1)


def webhook(receiver: Receiver, webhook_id: str, about: Happened, **data: object) -> Received:
    """A webhook as it should come, except for `data`."""
    known = {"subscription_id": about.subject, **({"uses": about.number} if about.number else {})}
    body = {"type": about.type, "timestamp": "2026-11-28T00:00:00Z", "data": {**known, **data}}
    return Received(receiver, webhook_id, json.dumps(body), is_signed=True, is_accepted=True)


def handled(events: list[Sent]) -> list[Handled]:
    """The inbox rows of these events."""
    return [Handled(event.event_id, event.type, event.subject) for event in events]


def clean_run() -> Evidence:
    """Two subscriptions and one poison message."""
    published = Published()
    published.poison["student_service"].add("poison 1")
    return Evidence(
        accepted={ONE: "u1", TWO: "u2"},
        shown={ONE: "C-1", TWO: "C-2"},
        recorded={ONE: "u1", TWO: "u2"},
        issued=[ONE, TWO],
        ordered={"o1"},
        orders={"o1": True},
        cancelled=set(),
        shown_cancelled=set(),
        revoked=set(),
        confirmed=set(),
        replaced={},
        older_codes={},
        suspended=set(),
        redeemed={ONE: {"visit 1"}},
        allowed={ONE: 1},
        access={
            side: {ONE: Access(1, 1, False)} for side in ("payment_service", "student_service")
        },
        lets_in={ONE: set(), TWO: {"C-2"}},
        renewed={ONE: "2099-01-01"},
        terms={side: {ONE: RENEWED} for side in ("payment_service", "student_service")},
        paid={"cs_2"},
        sold={"cs_2": TWO},
        taken={"evt_1"},
        kept={"evt_1": "handled"},
        erased=set(),
        tombstones={"payment_service": {}, "student_service": {}},
        happened={ACTIVE, REDEEMED},
        listening={SHOP: {ACTIVE.type}, PLATFORM: {REDEEMED.type}},
        received=[webhook(SHOP, "w1", ACTIVE), webhook(PLATFORM, "w2", REDEEMED)],
        followed=[],
        intents=[Intent(ONE, "<m1>", "sent", 1), Intent(TWO, "<m2>", "sent", 1)],
        mails=MAILS,
        sent={"payment_service": REQUESTS, "student_service": REPLIES},
        handled={"payment_service": handled(REPLIES), "student_service": handled(REQUESTS)},
        set_aside={"payment_service": [], "student_service": [POISON]},
        published=published,
        anomalies=[],
    )


def clean_run_with_cancellation() -> Evidence:
    """The second subscription was cancelled before its mail was sent."""
    run, two = clean_run(), {TWO}
    cancel = Sent("r3", "subscription_cancelled", TWO, True)
    confirm = Sent("a3", "access_code_revoked", TWO, True)
    return replace(
        run,
        cancelled=two,
        shown_cancelled=two,
        revoked=two,
        confirmed=two,
        lets_in={ONE: set(), TWO: set()},
        intents=[run.intents[0], Intent(TWO, "<m2>", "withdrawn", 0)],
        mails=MAILS[:1],
        sent={"payment_service": [*REQUESTS, cancel], "student_service": [*REPLIES, confirm]},
        handled={
            "payment_service": handled([*REPLIES, confirm]),
            "student_service": handled([*REQUESTS, cancel]),
        },
    )


def clean_run_with_replacement() -> Evidence:
    """The code of the second subscription was replaced, and a request was repeated after that."""
    run = clean_run()
    again = Sent("r3", "user_subscribed", TWO, True)
    replies = [Sent(name, "access_code_replaced", TWO, True) for name in ("a3", "a4")]
    return replace(
        run,
        replaced={TWO: {"C-2"}},
        older_codes={TWO: {"C-2"}},
        shown={ONE: "C-1", TWO: "C-3"},
        access=with_access(Access(2, 0, False)),
        lets_in={ONE: set(), TWO: {"C-3"}},
        intents=[*run.intents, Intent(TWO, "<m3>", "sent", 1)],
        mails=[*MAILS, ReceivedMail("2@example.com", "<m3>", ("C-3",))],
        sent=sent(payment_service=[*REQUESTS, again], student_service=[*REPLIES, *replies]),
        handled=handled_by(
            payment_service=[*REPLIES, *replies], student_service=[*REQUESTS, again]
        ),
    )


def with_access(second: Access) -> dict[str, dict[str, Access]]:
    """What either side knows of the codes, if this is known of the second subscription's."""
    return {side: {ONE: Access(1, 1, False), TWO: second} for side in clean_run().access}


def sent(**changes: list[Sent]) -> dict[str, list[Sent]]:
    """What each service sent in a clean run, except for `changes`."""
    return {"payment_service": REQUESTS, "student_service": REPLIES, **changes}


def handled_by(**changes: list[Sent]) -> dict[str, list[Handled]]:
    """What each service handled in a clean run, except for `changes`."""
    every = {"payment_service": REPLIES, "student_service": REQUESTS, **changes}
    return {service: handled(events) for service, events in every.items()}


def set_aside(*rows: SetAside) -> dict[str, list[SetAside]]:
    """What each service set aside: the payment side nothing, the student side these."""
    return {"payment_service": [], "student_service": list(rows)}


def clean_run_with_erasure() -> Evidence:
    """The second subscription, whose mail had arrived, was erased before its reply was handled.

    So was an event of it, whose id somebody else had used for another message.
    """
    run = clean_run()
    published = replace(
        run.published,
        poison={**run.published.poison, "payment_service": {"poison 2"}},
        victims={"poison 2": TWO},
    )
    return replace(
        run,
        erased={TWO},
        tombstones={side: {TWO: True} for side in run.tombstones},
        shown={ONE: "C-1", TWO: None},
        recorded={ONE: "u1", TWO: "erased"},
        shown_cancelled={TWO},
        revoked={TWO},
        lets_in={ONE: set(), TWO: set()},
        handled=handled_by(payment_service=REPLIES[:1]),
        published=published,
        happened={*run.happened, CANCELLED},
        listening={**run.listening, SHOP: {ACTIVE.type, CANCELLED.type}},
        received=[*run.received, webhook(SHOP, "w3", CANCELLED)],
    )
