"""Two web processes that get the events of one checkout at once make one subscription."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from admit_one.messaging.testing import published
from providers.fake_stripe import event, signature, written
from providers.models import ProviderEvent
from subscriptions.models import Subscription

from tests.providers.stripe_steps import COMPLETED, PAID, PAID_LATER, SALE, SECRET, at_once
from tools.system.web_process import WebProcess, request, running

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def both(django_db_setup: None) -> Iterator[list[WebProcess]]:
    with ExitStack() as stack:
        known = {"STRIPE_WEBHOOK_SECRETS": SECRET}
        yield [stack.enter_context(running(**known)) for _ in range(2)]


def post(web: WebProcess, made: dict[str, Any]) -> str:
    body = written(made)
    signed = f"Stripe-Signature: {signature(body, SECRET)}"
    head = request("POST", "/v1/webhooks/stripe", signed, f"Content-Length: {len(body)}")
    answer = web.client().send(head, body).answer()
    assert answer.status == 200, answer.body
    return str(json.loads(answer.body)["result"])


@pytest.mark.parametrize("turn", range(3))
def test_a_checkout_is_one_subscription_in_two_processes(both: list[WebProcess], turn: int) -> None:
    sale = replace(SALE, name=f"two{turn}")
    calls = [(web, event(kind, sale)) for kind in (COMPLETED, PAID_LATER, PAID) for web in both]
    results = at_once(*[lambda call=call: post(*call) for call in calls])
    for web in both:
        web.close_all()

    assert results.count("duplicate") == 3
    assert Subscription.objects.count() == len({each.subject for each in published()}) == 1
    assert set(ProviderEvent.objects.values_list("state", flat=True)) == {"handled"}
