"""No event that the contract allows makes a handler fail."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from access_codes.mails import sending
from access_codes.models import AccessCode
from admit_one.contract import Event
from admit_one.contract.fields import MAX_AMOUNT
from admit_one.messaging.inbox import Result
from admit_one.messaging.testing import an_envelope, deliver
from admit_one.messaging.why import timeline
from shared_contracts.events import (
    AccessCodeRestored,
    AccessDigestRequested,
    AccessGrantsRequested,
    SubscriptionCancelled,
    UserSubscribed,
)

from tests.mails.smtp_server import Mailbox

pytestmark = pytest.mark.django_db

FIRST, LAST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"
PLACE = {"occurred_at": FIRST, "subscription_id": UUID(int=0)}
EXTREMES: dict[type[Event], dict[str, list[Any]]] = {
    UserSubscribed: {
        "subscription_id": [UUID(int=0), UUID(int=2**128 - 1)],
        "user_id": ["\x9b" * 64, "\U0010ffff" * 64, 10**63],
        "email": [
            "\x80@\x9b", "a@" + "b" * 252, "a@" + "ä." * 60 + "x", "%s@{0}", "a@..", "a@-",
            "\u202e@xn--a", "a@" + "\U0001f600" * 20, "'@`$`",
        ],
        "plan": ["\x9b31m", "<script>", "{{code}}", "\u202e" * 64],
        "amount": [0, MAX_AMOUNT],
        "currency": ["ZZZ"],
        "occurred_at": [FIRST, LAST],
    },
    SubscriptionCancelled: {"cancelled_at": [FIRST, LAST], "subscription_id": [UUID(int=0)]},
    AccessDigestRequested: {
        "since": [FIRST, LAST], "until": [FIRST, LAST], "after": [None, PLACE], "limit": [1, 1000],
    },
    AccessGrantsRequested: {"subscription_ids": [(UUID(int=1),) * 100]},
    AccessCodeRestored: {
        "occurred_at": [FIRST, LAST], "issued_at": [FIRST, LAST], "amount": [0, MAX_AMOUNT],
        "email": ["\x80@\x9b"],
    },
}  # fmt: skip


def extremes() -> Iterator[tuple[type[Event], dict[str, Any]]]:
    for event_class, fields in EXTREMES.items():
        for name, extreme_values in fields.items():
            yield from ((event_class, {name: value}) for value in extreme_values)
    fields = EXTREMES[AccessDigestRequested]
    for values in product(*fields.values()):
        yield AccessDigestRequested, dict(zip(fields, values, strict=True))


@pytest.mark.parametrize(
    ("event_class", "changes"), list(extremes()), ids=lambda given: ascii(given)[:40]
)
def test_a_valid_event_is_handled_mailed_and_shown(
    mailbox: Mailbox, event_class: type[Event], changes: dict[str, Any]
) -> None:
    message = an_envelope(event_class, **changes)

    outcomes = deliver(message, an_envelope(UserSubscribed))

    in_the_future = event_class is AccessDigestRequested and changes.get("until") == LAST
    expected = Result.REJECTED if in_the_future else Result.HANDLED
    assert [outcome.result for outcome in outcomes] == [expected, Result.HANDLED]
    sending.send_due_mails(lambda: True)
    assert timeline.of(message.subject).steps or in_the_future


def test_a_restored_code_of_another_subscription_is_rejected() -> None:
    first = an_envelope(AccessCodeRestored)
    others = [an_envelope(AccessCodeRestored) for _ in range(2)]
    assert first.data.access_code == others[0].data.access_code

    assert [o.result for o in deliver(first)] == [Result.HANDLED]
    outcomes = deliver(*others)

    assert [outcome.result for outcome in outcomes] == [Result.REJECTED] * 2
    assert "belongs to another subscription" in str(outcomes[0].error)
    assert AccessCode.objects.count() == 1


def test_if_two_subscriptions_are_restored_with_one_code_only_one_gets_it() -> None:
    both = [an_envelope(AccessCodeRestored) for _ in range(2)]

    results = [outcome.result for outcome in deliver(*both)]

    assert sorted(results) == [Result.HANDLED, Result.REJECTED]
    assert AccessCode.objects.count() == 1
