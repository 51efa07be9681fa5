"""What clients are left with: one code each, or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from admit_one.contract.envelope import Envelope
from shared_contracts.events import UserSubscribed

from .eventually import eventually
from .mailbox import Mail
from .payments import Subscription

if TYPE_CHECKING:
    from .deployment import Deployment


@dataclass(frozen=True)
class Account:
    """All that the outside knows of one subscription: as it is shown, and its address's mails."""

    subscription: Subscription
    mails: Sequence[Mail]

    @property
    def codes(self) -> set[str | None]:
        """Every code that was ever shown or mailed for it."""
        return {self.subscription.access_code, *(code for m in self.mails for code in m.codes)}


def has_mail(subscription: Subscription, mails: Mapping[str, Sequence[Mail]]) -> bool:
    """Whether the code of this subscription has been mailed."""
    return any(subscription.access_code in mail.codes for mail in mails.get(subscription.email, ()))


def assert_one_code_each(accounts: Sequence[Account]) -> None:
    """Each account has one code of its own, and its mails, if several, are copies of one."""
    assert {len(account.codes) for account in accounts} == {1}
    assert len({account.subscription.access_code for account in accounts}) == len(accounts)
    assert {len({mail.message_id for mail in account.mails}) for account in accounts} == {1}


def second_mails(accounts: Sequence[Account]) -> int:
    """How many mails came beyond the first of each account."""
    return sum(len(account.mails) - 1 for account in accounts)


def recorded_twice(deployment: Deployment, paid: Sequence[Subscription]) -> list[Subscription]:
    """Subscriptions that clients never heard of: an order recorded a second time."""
    known, users = {s.id for s in paid}, {s.user_id for s in paid}
    return [s for s in deployment.payments.all() if s.user_id in users and s.id not in known]


def codes_at_the_student_side(
    deployment: Deployment, accounts: Sequence[Account]
) -> dict[str, str]:
    """The code by subscription with which the student side answers a repeated request."""
    ids = {account.subscription.id for account in accounts}
    with deployment.wire() as wire:
        for account in accounts:
            wire.publish_event(Envelope.of(requested_again(account.subscription)))

        def answers() -> dict[str, str]:
            replies = (wire.received(subject, "access_code_created") for subject in ids)
            return {reply["subject"]: reply["data"]["access_code"] for r in replies for reply in r}

        return eventually(answers, lambda codes: len(codes) == len(ids))


def codes_at_the_payment_side(accounts: Sequence[Account]) -> dict[str, str | None]:
    """The code by subscription as the API shows it."""
    return {account.subscription.id: account.subscription.access_code for account in accounts}


def requested_again(subscription: Subscription) -> UserSubscribed:
    """A request for the code of a subscription that has one."""
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
