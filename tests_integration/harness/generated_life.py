"""The life of a subscription by a client that was generated from the API's description.

    python generated_life.py URL KEY

It knows the API only by the generated package `payments_client`, and prints each step.
"""

# mypy: ignore-errors
from __future__ import annotations

import sys
import time

from payments_client.api.subscriptions import (
    cancel_subscription,
    list_subscriptions,
    record_subscription,
    show_subscription,
)
from payments_client.client import AuthenticatedClient
from payments_client.models import (
    CurrencyEnum,
    ListSubscriptionsStatus,
    NewSubscription,
    ProblemSchema,
    SubscriptionAnswer,
)

URL, KEY = sys.argv[1:]
PATIENCE = 60.0


def main() -> None:
    with AuthenticatedClient(URL, KEY, raise_on_unexpected_status=True) as client:
        live(client)


def live(client: AuthenticatedClient) -> None:
    new = NewSubscription("generated", "ada@example.com", "gold", 4900, CurrencyEnum.EUR)
    first, again = (
        record_subscription.sync_detailed(client=client, body=new, idempotency_key="generated")
        for _ in range(2)
    )
    assert (first.status_code, first.parsed.status) == (202, "pending"), first
    print(first.parsed.status)
    assert again.parsed == first.parsed, again
    assert again.headers["Idempotency-Replayed"] == "true"
    print("repeated")

    active = wait(client, first, lambda shown: shown.status == "active")
    assert active.access_code, active
    print(active.status)

    page = list_subscriptions.sync(
        client=client,
        user_id="generated",
        status=ListSubscriptionsStatus.ACTIVE,
        created_since=active.created_at,
    )
    changes = list_subscriptions.sync(client=client, updated_since=active.updated_at)
    listed = [[each.id for each in answer.results] for answer in (page, changes)]
    assert listed == [[active.id]] * 2, (page, changes)
    print("listed")

    wrong = NewSubscription("generated", "nobody", "gold", -1, CurrencyEnum.EUR)
    refused = record_subscription.sync(client=client, body=wrong)
    assert isinstance(refused, ProblemSchema), refused
    assert sorted(fault.field for fault in refused.errors) == ["amount", "email"], refused
    print("refused")

    cancelled = cancel_subscription.sync_detailed(active.id, client=client)
    print(cancelled.parsed.status)
    revoked = wait(client, cancelled, lambda shown: shown.code_revoked_at is not None)
    assert revoked.cancelled_at <= revoked.code_revoked_at, revoked
    print("revoked")


def wait(client: AuthenticatedClient, answer, is_done) -> SubscriptionAnswer:
    """Poll with the tag of each answer, as often as the answers say."""
    deadline = time.monotonic() + PATIENCE
    tag = ""
    while True:
        shown = show_subscription.sync_detailed(answer.parsed.id, client=client, if_none_match=tag)
        if shown.status_code == 200:
            if is_done(shown.parsed):
                return shown.parsed
            tag = shown.headers["ETag"]
        assert time.monotonic() < deadline, answer
        time.sleep(int(shown.headers.get("Retry-After", "1")))


if __name__ == "__main__":
    main()
