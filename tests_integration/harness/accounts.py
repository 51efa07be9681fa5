"""Checks that each subscription has one code, the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from admit_one.contract.envelope import Envelope
from shared_contracts.events import UserSubscribed

from tools.system.eventually import eventually

from .mailbox import ReceivedMail
from .payments import Subscription

if TYPE_CHECKING:
    from .deployment import Deployment


@dataclass(frozen=True)
class Account:
    """A subscription as the API shows it, and the mails to its address."""

    subscription: Subscription
    mails: Sequence[ReceivedMail]

    @property
    def codes(self) -> set[str | None]:
        """Every code that was ever shown or mailed for it."""
        return {self.subscription.access_code, *(code for m in self.mails for code in m.codes)}


def has_mail(subscription: Subscription, mails: Mapping[str, Sequence[ReceivedMail]]) -> bool:
    """Whether the code of this subscription has been mailed."""
    return any(subscription.access_code in mail.codes for mail in mails.get(subscription.email, ()))


def assert_one_code_each(accounts: Sequence[Account]) -> None:
    """Each account has a different code, and all its mails are copies of one mail."""
    assert {len(account.codes) for account in accounts} == {1}
    assert len({account.subscription.access_code for account in accounts}) == len(accounts)
    assert {len({mail.message_id for mail in account.mails}) for account in accounts} == {1}


def second_mails(accounts: Sequence[Account]) -> int:
    """The number of mails beyond the first of each account."""
    return sum(len(account.mails) - 1 for account in accounts)


def recorded_twice(deployment: Deployment, paid: Sequence[Subscription]) -> list[Subscription]:
    """Subscriptions of these users that no client was answered with."""
    known, users = {s.id for s in paid}, {s.user_id for s in paid}
    return [s for s in deployment.payments.all() if s.user_id in users and s.id not in known]


def codes_at_the_student_side(
    deployment: Deployment, accounts: Sequence[Account]
) -> dict[str, str]:
    """The codes by subscription with which the student side answers repeated requests."""
    ids = {account.subscription.id for account in accounts}
    with deployment.wire() as wire:
        for account in accounts:
            wire.publish_event(Envelope.of(request_for(account.subscription)))

        def answers() -> dict[str, str]:
            replies = (wire.received(subject, "access_code_created") for subject in ids)
            return {reply["subject"]: reply["data"]["access_code"] for r in replies for reply in r}

        return eventually(answers, lambda codes: len(codes) == len(ids))


def codes_at_the_payment_side(accounts: Sequence[Account]) -> dict[str, str | None]:
    """The codes by subscription as the API shows them."""
    return {account.subscription.id: account.subscription.access_code for account in accounts}


def request_for(subscription: Subscription) -> UserSubscribed:
    """A repeated request for the code of a subscription."""
    return UserSubscribed.model_validate(
        {
            "subscription_id": subscription.id,
            "user_id": subscription.user_id,
            "email": subscription.email,
            "plan": subscription.plan,
            "amount": subscription.amount,
            "currency": subscription.currency,
            "occurred_at": subscription.created_at,
        }
    )
