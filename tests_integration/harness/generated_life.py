"""The life of a subscription and its code, by clients generated from both APIs' descriptions.

    python generated_life.py PAYMENT_URL PAYMENT_KEY STUDENT_URL STUDENT_KEY

It knows the APIs only by the generated packages `payments_client` and `codes_client`, and prints
each step.
"""

# mypy: ignore-errors
from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta

from codes_client.api.access import show_access
from codes_client.api.access_codes import (
    list_access_codes,
    redeem_access_code,
    reinstate_access_code,
    replace_access_code,
    resend_access_code,
    show_access_code,
    suspend_access_code,
    validate_access_code,
)
from codes_client.client import AuthenticatedClient as CodesClient
from codes_client.models import Reasoned, RedeemQuestion, Resending, ValidateQuestion
from payments_client.api.subscriptions import (
    cancel_subscription,
    list_subscriptions,
    mark_past_due,
    record_subscription,
    refund_subscription,
    renew_subscription,
    show_subscription,
)
from payments_client.client import AuthenticatedClient
from payments_client.models import (
    CurrencyEnum,
    ListSubscriptionsStatus,
    NewSubscription,
    ProblemSchema,
    Renewal,
    SubscriptionAnswer,
)

PAYMENT_URL, PAYMENT_KEY, STUDENT_URL, STUDENT_KEY = sys.argv[1:]
PATIENCE = 60.0
WHY = Reasoned("a test")


def main() -> None:
    with (
        AuthenticatedClient(PAYMENT_URL, PAYMENT_KEY, raise_on_unexpected_status=True) as payments,
        CodesClient(STUDENT_URL, STUDENT_KEY, raise_on_unexpected_status=True) as codes,
    ):
        live(payments)
        live_on_both_sides(payments, codes)


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


def live_on_both_sides(payments: AuthenticatedClient, codes: CodesClient) -> None:
    tomorrow = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    new = NewSubscription(
        *("on-both-sides", "ada@example.com", "gold", 4900, CurrencyEnum.EUR),
        valid_until=tomorrow,
    )
    paid = record_subscription.sync_detailed(client=payments, body=new)
    active = wait(payments, paid, lambda shown: shown.status == "active")
    first_code = active.access_code

    def asked(code: str) -> str:
        question = ValidateQuestion(code, user_id="on-both-sides", plan="gold")
        return validate_access_code.sync(client=codes, body=question).reason

    def may_stay(access_id: str) -> str:
        return show_access.sync(access_id, client=codes).reason

    assert asked(first_code) == "ok"
    use = RedeemQuestion(first_code, reference="login-1")
    uses = [redeem_access_code.sync(client=codes, body=use) for _ in range(2)]
    assert [(each.valid, each.uses) for each in uses] == [(True, 1)] * 2, uses
    first_access = uses[0].access_id
    print("redeemed")

    suspend_access_code.sync(first_access, client=codes, body=WHY)
    assert (asked(first_code), may_stay(first_access)) == ("suspended", "suspended")
    wait(payments, paid, lambda shown: shown.suspended)
    reinstate_access_code.sync(first_access, client=codes, body=WHY)
    assert (asked(first_code), may_stay(first_access)) == ("ok", "ok")
    print("reinstated")

    access = replace_access_code.sync(first_access, client=codes, body=WHY).access_id
    shown = wait(payments, paid, lambda shown: shown.access_code not in {None, first_code})
    code = shown.access_code
    assert (asked(first_code), asked(code)) == ("replaced", "ok")
    assert (may_stay(first_access), may_stay(access)) == ("replaced", "ok")
    assert show_access_code.sync(access, client=codes).access_code == code
    assert show_access_code.sync(first_access, client=codes).replaced_by == access
    print("replaced")

    until = tomorrow + timedelta(days=31)
    renew_subscription.sync(active.id, client=payments, body=Renewal(until))
    renewed = wait(payments, paid, lambda shown: shown.terms_applied)
    assert renewed.valid_until == until, renewed
    question = ValidateQuestion(code)
    assert validate_access_code.sync(client=codes, body=question).valid_until == until
    print("renewed")

    due = mark_past_due.sync(active.id, client=payments)
    assert due.status == "past_due", due
    wait(payments, paid, lambda shown: shown.terms_applied)
    assert asked(code) == "ok"
    print(due.status)

    body = Resending("the mail was deleted")
    for _ in range(2):
        again = resend_access_code.sync(access, client=codes, body=body, idempotency_key="lost")
    assert again.access_code == f"****-****-****-{code[-4:]}", again
    listed = list_access_codes.sync(client=codes, user_id="on-both-sides")
    assert [each.access_id for each in listed.results] == [access], listed
    print("resent")

    refunded = refund_subscription.sync_detailed(active.id, client=payments)
    wait(payments, refunded, lambda shown: shown.code_revoked_at is not None)
    assert (asked(code), may_stay(access)) == ("revoked", "revoked")
    refused = redeem_access_code.sync(client=codes, body=RedeemQuestion(code, reference="login-2"))
    assert (refused.valid, refused.reason, refused.uses) == (False, "revoked", 1), refused
    print(refunded.parsed.status)


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
