"""What the checker of chaos finds in a whole run, and in one with any one thing wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests_integration.chaos.verdict.checker import verify
from tests_integration.chaos.verdict.evidence import Aside, Evidence, Intent, Sent
from tests_integration.chaos.verdict.examples import (
    MAILS,
    ONE,
    POISON,
    REPLIES,
    REQUESTS,
    TWO,
    a_cancelled_run,
    a_whole_run,
    aside,
    handled_by,
    sent,
)
from tests_integration.harness.mailbox import Mail


def test_a_whole_run_is_clean() -> None:
    assert list(verify(a_whole_run(), 0).findings()) == []


def test_a_cancelled_subscription_is_clean_with_its_mail_or_without() -> None:
    withdrawn, whole = a_cancelled_run(), a_whole_run()
    mailed = replace(withdrawn, intents=whole.intents, mails=whole.mails)

    assert [*verify(withdrawn, 0).findings(), *verify(mailed, 0).findings()] == []


WRONG: dict[str, tuple[Callable[[Evidence], Evidence], str]] = {
    "a subscription without a code": (
        lambda run: replace(run, shown={ONE: "C-1", TWO: None}),
        "lost: subscription two has no code",
    ),
    "an accepted subscription that is gone": (
        lambda run: replace(run, recorded={ONE: "u1"}, shown={ONE: "C-1"}, issued=[ONE]),
        "lost: subscription two was accepted, and is not known any more",
    ),
    "one code for two": (
        lambda run: replace(run, shown={ONE: "C-1", TWO: "C-1"}),
        "doubled: 2 subscriptions have one code",
    ),
    "an order recorded twice": (
        lambda run: replace(run, recorded={ONE: "u1", TWO: "u1"}),
        "doubled: the one order of u1 was recorded 2 times",
    ),
    "a code that nobody has paid for": (
        lambda run: replace(run, issued=[ONE, TWO, "three"]),
        "unaccounted: there is a code for three, which nobody has paid for",
    ),
    "a mail that did not come": (
        lambda run: replace(run, mails=MAILS[:1]),
        "lost: mail <m2> is sent, and did not come",
    ),
    "a mail with another code": (
        lambda run: replace(run, mails=[MAILS[0], Mail("2@example.com", "<m2>", ("C-3",))]),
        "doubled: mail <m2> brings another code than the API",
    ),
    "a mail that came twice by itself": (
        lambda run: replace(run, mails=[*MAILS, MAILS[0]]),
        "doubled: mail <m1> came 2 times in 1 attempts",
    ),
    "a mail that nobody has written": (
        lambda run: replace(run, mails=[*MAILS, Mail("x@example.com", "<m3>", ())]),
        "unaccounted: mail <m3> came, and nobody has written it",
    ),
    "two mails for one code": (
        lambda run: replace(
            run,
            intents=[*run.intents, Intent(ONE, "<m3>", "sent", 1)],
            mails=[*MAILS, Mail("1@example.com", "<m3>", ("C-1",))],
        ),
        "doubled: 2 mails are written for subscription one",
    ),
    "a cancelled one that is shown as if it were not": (
        lambda _: replace(a_cancelled_run(), shown_cancelled=set()),
        "lost: subscription two was cancelled, and the API does not show it",
    ),
    "a code that outlives its subscription": (
        lambda _: replace(a_cancelled_run(), revoked=set()),
        "lost: subscription two was cancelled, and its code still lets in",
    ),
    "a revoked code of what nobody has cancelled": (
        lambda run: replace(run, revoked={ONE}),
        "unaccounted: subscription one is cancelled, and no client wanted that",
    ),
    "a revocation that was never confirmed": (
        lambda _: replace(a_cancelled_run(), confirmed=set()),
        "lost: that the code of subscription two is revoked was not confirmed",
    ),
    "a mail that is withdrawn without a cancellation": (
        lambda run: replace(
            run, intents=[run.intents[0], Intent(TWO, "<m2>", "withdrawn", 0)], mails=MAILS[:1]
        ),
        "lost: mail <m2> is withdrawn, and did not come",
    ),
    "a cancellation that was answered twice": (
        lambda _: replace(
            a_cancelled_run(),
            sent={
                "payment_service": a_cancelled_run().sent["payment_service"],
                "student_service": [
                    *a_cancelled_run().sent["student_service"],
                    Sent("a3", "access_code_revoked", TWO, True),
                ],
            },
        ),
        "doubled: subscription two: 1 requests, 2 replies (access_code_revoked)",
    ),
    "an event that waits": (
        lambda run: replace(
            run, sent=sent(payment_service=[REQUESTS[0], REQUESTS[1]._replace(published=False)])
        ),
        "unaccounted: user_subscribed r2 waits in the outbox",
    ),
    "an event that never arrived": (
        lambda run: replace(run, handled=handled_by(payment_service=REPLIES[:1])),
        "unaccounted: access_code_created a2 was never handled",
    ),
    "a reply too many": (
        lambda run: replace(
            run,
            sent=sent(student_service=[*REPLIES, REPLIES[0]]),
        ),
        "doubled: subscription one: 1 requests, 2 replies (access_code_created)",
    ),
    "a good message among the dead": (
        lambda run: replace(run, aside=aside(POISON, Aside("", "dead", "r9", "a bug"))),
        "unaccounted: r9 of student_service is dead: a bug",
    ),
    "poison that was swallowed": (
        lambda run: replace(run, aside=aside()),
        "unaccounted: poison 1 of student_service was set aside 0 times",
    ),
    "poison without a reason": (
        lambda run: replace(run, aside=aside(POISON._replace(reason=""))),
        "unaccounted: poison 1 of student_service is dead without a reason",
    ),
    "a message that waits to be tried again": (
        lambda run: replace(run, aside=aside(POISON._replace(state="retrying"))),
        "unaccounted: poison 1 of student_service is retrying: not JSON",
    ),
    "what a client has noticed": (
        lambda run: replace(run, wrong=["POST was answered with 500"]),
        "unaccounted: a client: POST was answered with 500",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_found_and_named(what: str) -> None:
    change, finding = WRONG[what]

    assert finding in list(verify(change(a_whole_run()), 0).findings())


def test_only_mails_in_doubt_may_come_twice() -> None:
    again = replace(
        a_whole_run(),
        intents=[Intent(ONE, "<m1>", "sent", 2), Intent(TWO, "<m2>", "sent", 1)],
        mails=[*MAILS, MAILS[0]],
    )

    assert list(verify(again, 1).findings()) == []
    assert verify(again, 1).unknown_mails == 1
    assert list(verify(again, 0).findings()) == [
        "doubled: mails came 1 times more than once, and only 0 were in doubt"
    ]


def test_events_that_a_broker_lost_are_counted() -> None:
    forgot = replace(a_whole_run(), handled=handled_by(payment_service=REPLIES[:1]))

    verdict = verify(forgot, 0, broker_forgets=True)

    assert list(verdict.findings()) == []
    assert verdict.forgotten == 1


def test_a_lost_code_is_not_missed_once_cancelled() -> None:
    whole, cancelled = a_whole_run(), a_cancelled_run()
    lost = replace(
        cancelled, shown={ONE: "C-1", TWO: None}, intents=whole.intents, mails=whole.mails
    )

    assert list(verify(lost, 0, broker_forgets=True).findings()) == []
