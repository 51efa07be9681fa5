"""A process may die at any statement: Stripe sends the event again, and all is as it should be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from admit_one.messaging.testing import published
from django.db import connection
from providers import by_hand, handling
from providers.fake_stripe import event
from providers.models import ProviderEvent
from shared_contracts.events import UserSubscribed
from subscriptions.models import Subscription

from tests.providers.stripe_steps import (
    COMPLETED,
    PAID,
    PAYMENT,
    REFUNDED,
    SALE,
    send,
    stripe_sends,
    the_subscription,
)

pytestmark = pytest.mark.django_db(transaction=True)

STATEMENTS = range(1, 71, 3)
"""Of a checkout for which three others wait: about 65; those of transactions are not counted."""


class Died(BaseException):
    """Nothing in the process may catch this."""


class DyingAt:
    """Runs so many statements on the connection, and then dies."""

    def __init__(self, statement: int) -> None:
        self.left = statement

    def __call__(self, execute: Callable[..., Any], *statement: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            raise Died
        return execute(*statement)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_process_that_dies_at_any_statement_loses_and_doubles_nothing(statement: int) -> None:
    for kind in (REFUNDED, PAYMENT, PAID):
        stripe_sends(kind)
    try:
        with connection.execute_wrapper(DyingAt(statement)):
            send(event(COMPLETED, SALE))
    except Died:
        connection.close()
    send(event(COMPLETED, SALE))
    handling.handle_due()

    requests = {each.subject for each in published() if isinstance(each.data, UserSubscribed)}
    assert Subscription.objects.count() == len(requests) == 1
    assert the_subscription().status == "refunded"
    assert set(ProviderEvent.objects.values_list("state", flat=True)) == {"handled"}


def test_a_retry_that_dies_leaves_an_event_that_can_be_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = event(COMPLETED, SALE)
    made["data"]["object"]["metadata"] = {}
    send(made)
    row = ProviderEvent.objects.get()

    def die(*_: Any, **__: Any) -> None:
        raise Died

    with monkeypatch.context() as dying:
        dying.setattr(handling, "again", die)
        with pytest.raises(Died):
            by_hand.retry(row.pk, by="ada", reason="no plan", given={"plan": "gold"})
    handling.handle_due()
    row.refresh_from_db()
    assert row.state == "unmatched"
    by_hand.retry(row.pk, by="ada", reason="no plan", given={"plan": "gold"})

    assert Subscription.objects.count() == 1
