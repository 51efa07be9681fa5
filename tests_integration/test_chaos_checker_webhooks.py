"""The chaos checker finds what may be wrong with Stripe's events and with webhooks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests_integration.chaos.verdict.checker import verify
from tests_integration.chaos.verdict.evidence import Evidence
from tests_integration.chaos.verdict.examples import (
    ACTIVE,
    AN_ID,
    ONE,
    PLATFORM,
    REDEEMED,
    SHOP,
    TWO,
    clean_run,
    webhook,
)

OTHER_SHOP = SHOP._replace(client="other")

WRONG: dict[str, tuple[Callable[[Evidence], Evidence], str]] = {
    "a checkout that was paid for nothing": (
        lambda run: replace(run, sold={}),
        "lost: checkout cs_2 was paid, but there is no subscription",
    ),
    "a checkout that nobody paid": (
        lambda run: replace(run, sold={"cs_2": TWO, "cs_3": ONE}),
        "unaccounted: checkout cs_3 was not paid, but has a subscription",
    ),
    "an event of Stripe that is lost": (
        lambda run: replace(run, kept={}),
        "lost: Stripe's event evt_1 was taken, but is not kept",
    ),
    "an event of Stripe that waits forever": (
        lambda run: replace(run, kept={"evt_1": "unmatched"}),
        "unaccounted: Stripe's event evt_1 is unmatched, expected handled",
    ),
    "a forged event that was taken": (
        lambda run: replace(run, kept={"evt_1": "handled", "evt_forged_1": "handled"}),
        "unaccounted: event evt_forged_1 is kept, but Stripe has not sent it",
    ),
    "a webhook that was never sent": (
        lambda run: replace(run, received=run.received[:1]),
        f"lost: access.redeemed of {AN_ID} (1) was not reported to "
        "/student_service/platform/accepting/good",
    ),
    "a webhook that was sent to somebody else only": (
        lambda run: replace(run, received=[webhook(PLATFORM, "w2", REDEEMED)] * 2),
        f"lost: subscription.active of {AN_ID} was not reported to "
        "/payment_service/shop/accepting/good",
    ),
    "a webhook that was refused, and not sent again": (
        lambda run: replace(
            run, received=[each._replace(is_accepted=False) for each in run.received]
        ),
        f"lost: subscription.active of {AN_ID} was not reported to "
        "/payment_service/shop/accepting/good",
    ),
    "a webhook about another client's": (
        lambda run: replace(
            run,
            listening={**run.listening, OTHER_SHOP: {ACTIVE.type}},
            received=[*run.received, webhook(OTHER_SHOP, "w3", ACTIVE)],
        ),
        f"leaked: subscription.active of {AN_ID} was reported to another client",
    ),
    "one use in two webhooks": (
        lambda run: replace(run, received=[*run.received, webhook(PLATFORM, "w3", REDEEMED)]),
        f"doubled: access.redeemed of {AN_ID} (1) was reported by 2 webhooks",
    ),
    "a webhook about what did not happen": (
        lambda run: replace(
            run, received=[*run.received, webhook(PLATFORM, "w3", REDEEMED._replace(number=2))]
        ),
        f"unaccounted: access.redeemed of {AN_ID} (2) was reported, but did not happen",
    ),
    "one webhook with two bodies": (
        lambda run: replace(
            run, received=[*run.received, webhook(SHOP, "w1", ACTIVE, status="active")]
        ),
        "doubled: webhook w1 came with 2 bodies",
    ),
    "a webhook with an address": (
        lambda run: replace(run, received=[webhook(SHOP, "w1", ACTIVE, order_id="a@example.com")]),
        "leaked: webhook w1 has order_id",
    ),
    "a webhook with a code": (
        lambda run: replace(run, received=[webhook(SHOP, "w1", ACTIVE, status="ABCD-EFGH")]),
        "leaked: webhook w1 has status",
    ),
    "a webhook with metadata": (
        lambda run: replace(run, received=[webhook(SHOP, "w1", ACTIVE, metadata={"a": "b"})]),
        "leaked: webhook w1 has metadata",
    ),
    "a webhook that is not signed": (
        lambda run: replace(
            run, received=[run.received[0]._replace(is_signed=False), run.received[1]]
        ),
        "unaccounted: webhook w1 is not signed",
    ),
    "a redirect that was followed": (
        lambda run: replace(run, followed=["a webhook went to /trap"]),
        "unaccounted: a webhook went to /trap",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_each_problem_is_found(what: str) -> None:
    change, finding = WRONG[what]

    assert finding in list(verify(change(clean_run()), 0).findings())


def test_what_a_broker_has_lost_need_not_be_reported_by_webhooks() -> None:
    unreported = replace(clean_run(), received=[])

    assert list(verify(unreported, 0, broker_loses=True).findings()) == []
