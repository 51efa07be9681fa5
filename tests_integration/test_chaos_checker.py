"""The chaos checker finds nothing in a clean run, and every single thing that may be wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests_integration.chaos.verdict.checker import verify
from tests_integration.chaos.verdict.evidence import Access, Evidence, Intent, Sent, SetAside, Terms
from tests_integration.chaos.verdict.examples import (
    MAILS,
    ONE,
    POISON,
    REPLIES,
    REQUESTS,
    TWO,
    clean_run,
    clean_run_with_cancellation,
    clean_run_with_replacement,
    handled_by,
    sent,
    set_aside,
    with_access,
)
from tests_integration.harness.mailbox import ReceivedMail


def test_a_clean_run_has_no_findings() -> None:
    assert list(verify(clean_run(), 0).findings()) == []


def test_a_clean_run_with_a_replaced_code_has_no_findings() -> None:
    assert list(verify(clean_run_with_replacement(), 0).findings()) == []


def test_the_mail_of_a_cancelled_subscription_may_be_sent_or_withdrawn() -> None:
    withdrawn, clean = clean_run_with_cancellation(), clean_run()
    mailed = replace(withdrawn, intents=clean.intents, mails=clean.mails)

    assert [*verify(withdrawn, 0).findings(), *verify(mailed, 0).findings()] == []


WRONG: dict[str, tuple[Callable[[Evidence], Evidence], str]] = {
    "a subscription without a code": (
        lambda run: replace(run, shown={ONE: "C-1", TWO: None}),
        "lost: subscription s2 has no code",
    ),
    "an accepted subscription that no longer exists": (
        lambda run: replace(run, recorded={ONE: "u1"}, shown={ONE: "C-1"}, issued=[ONE]),
        "lost: subscription s2 was accepted, but no longer exists",
    ),
    "two subscriptions with one code": (
        lambda run: replace(run, shown={ONE: "C-1", TWO: "C-1"}),
        "doubled: 2 subscriptions have the same code",
    ),
    "a subscription recorded twice": (
        lambda run: replace(run, recorded={ONE: "u1", TWO: "u1"}),
        "doubled: the only order of user u1 was recorded 2 times",
    ),
    "an order that is never complete": (
        lambda run: replace(run, orders={"o1": False}),
        "lost: order o1 was accepted, but is not complete",
    ),
    "an order that no longer exists": (
        lambda run: replace(run, orders={}),
        "lost: order o1 was accepted, but no longer exists",
    ),
    "an order recorded twice": (
        lambda run: replace(run, orders={"o1": True, "o2": True}),
        "unaccounted: no client placed order o2",
    ),
    "a code that was not paid for": (
        lambda run: replace(run, issued=[ONE, TWO, "s3"]),
        "unaccounted: subscription s3 has a code, but was not paid for",
    ),
    "terms that one side lacks": (
        lambda run: replace(run, terms={**run.terms, "student_service": {}}),
        "lost: subscription s1 has other terms on the student side: "
        "Terms(version=2, valid_until='2099-01-01 00:00:00+00:00'), None",
    ),
    "a renewal that both sides have lost": (
        lambda run: replace(
            run, terms={side: {ONE: Terms(1, "2098-01-01 00:00:00+00:00")} for side in run.terms}
        ),
        "lost: subscription s1 was renewed, and is not any more",
    ),
    "a code that was redeemed once too often": (
        lambda run: replace(
            run,
            redeemed={ONE: {"visit 1", "visit 2"}},
            access={side: {ONE: Access(1, 2, False)} for side in run.access},
        ),
        "doubled: subscription s1 was redeemed 2 times, and counts 2, expected at most 1",
    ),
    "a redemption that is counted twice": (
        lambda run: replace(
            run, allowed={}, access={side: {ONE: Access(1, 2, False)} for side in run.access}
        ),
        "doubled: subscription s1 was redeemed 1 times, and counts 2",
    ),
    "a redemption that is not counted": (
        lambda run: replace(run, access={side: {} for side in run.access}),
        "lost: subscription s1 was redeemed 1 times, and counts 0",
    ),
    "uses that one side does not know": (
        lambda run: replace(run, access={**run.access, "payment_service": {}}),
        "lost: the sides differ about subscription s1: "
        "Access(generation=1, uses=0, suspended=False), "
        "Access(generation=1, uses=1, suspended=False)",
    ),
    "a suspension that is lost on both sides": (
        lambda run: replace(run, suspended={ONE}),
        "lost: a suspension or its end of subscription s1 is lost",
    ),
    "a suspended code that lets in": (
        lambda run: replace(run, suspended={TWO}, access=with_access(Access(1, 0, True))),
        "doubled: a code of subscription s2 lets in, and must not",
    ),
    "a revoked code that lets in": (
        lambda _: replace(clean_run_with_cancellation(), lets_in={TWO: {"C-2"}}),
        "doubled: a code of subscription s2 lets in, and must not",
    ),
    "a replaced code that lets in": (
        lambda _: replace(clean_run_with_replacement(), lets_in={TWO: {"C-2", "C-3"}}),
        "doubled: a code of subscription s2 lets in, and must not",
    ),
    "a code that lets in nobody": (
        lambda run: replace(run, lets_in={TWO: set()}),
        "lost: the code of subscription s2 does not let in",
    ),
    "a code that nobody replaced": (
        lambda run: replace(run, older_codes={TWO: {"C-0"}}),
        "doubled: the API showed codes of subscription s2 that nobody replaced",
    ),
    "a replacement that was made twice": (
        lambda _: replace(clean_run_with_replacement(), access=with_access(Access(3, 0, False))),
        "doubled: subscription s2 has had 3 codes, of which 1 were replaced",
    ),
    "a replacement whose mail has the older code": (
        lambda _: replace(
            clean_run_with_replacement(),
            mails=[*MAILS, ReceivedMail("2@example.com", "<m3>", ("C-2",))],
        ),
        "lost: the latest code of subscription s2 was not mailed",
    ),
    "a code without a mail": (
        lambda run: replace(run, intents=run.intents[:1], mails=MAILS[:1]),
        "lost: 1 mails of subscription s2 were not written",
    ),
    "a mail that did not arrive": (
        lambda run: replace(run, mails=MAILS[:1]),
        "lost: mail <m2> is sent, but did not arrive",
    ),
    "a mail with another code": (
        lambda run: replace(run, mails=[MAILS[0], ReceivedMail("2@example.com", "<m2>", ("C-3",))]),
        "doubled: mail <m2> has another code than the API",
    ),
    "more copies of a mail than attempts": (
        lambda run: replace(run, mails=[*MAILS, MAILS[0]]),
        "doubled: mail <m1>: 2 copies from 1 attempts",
    ),
    "a mail that was never written": (
        lambda run: replace(run, mails=[*MAILS, ReceivedMail("x@example.com", "<m3>", ())]),
        "unaccounted: mail <m3> arrived, but was never written",
    ),
    "two mails for one code": (
        lambda run: replace(
            run,
            intents=[*run.intents, Intent(ONE, "<m3>", "sent", 1)],
            mails=[*MAILS, ReceivedMail("1@example.com", "<m3>", ("C-1",))],
        ),
        "doubled: 2 mails were written for subscription s1",
    ),
    "a cancellation that the API does not show": (
        lambda _: replace(clean_run_with_cancellation(), shown_cancelled=set()),
        "lost: subscription s2 was cancelled, but the API does not show that",
    ),
    "a code that still works after a cancellation": (
        lambda _: replace(clean_run_with_cancellation(), revoked=set()),
        "lost: subscription s2 was cancelled, but its code still works",
    ),
    "a code revoked without a cancellation": (
        lambda run: replace(run, revoked={ONE}),
        "unaccounted: no client cancelled subscription s1",
    ),
    "a revocation that was never confirmed": (
        lambda _: replace(clean_run_with_cancellation(), confirmed=set()),
        "lost: subscription s2 was cancelled, but the payment side has no confirmation",
    ),
    "a mail withdrawn without a cancellation": (
        lambda run: replace(
            run, intents=[run.intents[0], Intent(TWO, "<m2>", "withdrawn", 0)], mails=MAILS[:1]
        ),
        "lost: mail <m2> is withdrawn, but did not arrive",
    ),
    "two replies to a cancellation": (
        lambda _: replace(
            clean_run_with_cancellation(),
            sent={
                "payment_service": clean_run_with_cancellation().sent["payment_service"],
                "student_service": [
                    *clean_run_with_cancellation().sent["student_service"],
                    Sent("a3", "access_code_revoked", TWO, True),
                ],
            },
        ),
        "doubled: subscription s2 has 2 access_code_revoked for 1 requests",
    ),
    "an event that was never published": (
        lambda run: replace(
            run, sent=sent(payment_service=[REQUESTS[0], REQUESTS[1]._replace(published=False)])
        ),
        "unaccounted: user_subscribed r2 was never published",
    ),
    "an event that was never handled": (
        lambda run: replace(run, handled=handled_by(payment_service=REPLIES[:1])),
        "unaccounted: access_code_created a2 was never handled",
    ),
    "two replies to a request": (
        lambda run: replace(
            run,
            sent=sent(student_service=[*REPLIES, REPLIES[0]]),
        ),
        "doubled: subscription s1 has 2 access_code_created for 1 requests",
    ),
    "a valid message that is dead": (
        lambda run: replace(run, set_aside=set_aside(POISON, SetAside("", "dead", "r9", "a bug"))),
        "unaccounted: student_service set aside r9 (a bug): it is dead, expected replayed",
    ),
    "poison that was not set aside": (
        lambda run: replace(run, set_aside=set_aside()),
        "unaccounted: student_service set aside poison 1 0 times, expected once",
    ),
    "poison without a reason": (
        lambda run: replace(run, set_aside=set_aside(POISON._replace(reason=""))),
        "unaccounted: student_service set aside poison 1 without a reason",
    ),
    "a message that is still being retried": (
        lambda run: replace(run, set_aside=set_aside(POISON._replace(state="retrying"))),
        "unaccounted: student_service set aside poison 1 (not JSON): it is retrying, expected dead",
    ),
    "a wrong answer to a client": (
        lambda run: replace(run, anomalies=["POST was answered with 500"]),
        "unaccounted: seen by a client: POST was answered with 500",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_each_problem_is_found(what: str) -> None:
    change, finding = WRONG[what]

    assert finding in list(verify(change(clean_run()), 0).findings())


def test_only_mails_in_doubt_may_arrive_twice() -> None:
    again = replace(
        clean_run(),
        intents=[Intent(ONE, "<m1>", "sent", 2), Intent(TWO, "<m2>", "sent", 1)],
        mails=[*MAILS, MAILS[0]],
    )

    assert list(verify(again, 1).findings()) == []
    assert verify(again, 1).duplicate_mails == 1
    assert list(verify(again, 0).findings()) == [
        "doubled: 1 duplicate mails arrived, expected at most 0"
    ]


def test_events_that_the_broker_lost_are_counted_where_it_may_lose_them() -> None:
    unhandled = replace(clean_run(), handled=handled_by(payment_service=REPLIES[:1]))

    verdict = verify(unhandled, 0, broker_loses=True)

    assert list(verdict.findings()) == []
    assert verdict.lost_by_broker == 1


def test_a_cancelled_subscription_may_lack_its_code_in_the_api() -> None:
    clean, cancelled = clean_run(), clean_run_with_cancellation()
    lost = replace(
        cancelled, shown={ONE: "C-1", TWO: None}, intents=clean.intents, mails=clean.mails
    )

    assert list(verify(lost, 0, broker_loses=True).findings()) == []
