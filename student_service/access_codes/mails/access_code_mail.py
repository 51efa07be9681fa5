"""The mails with an access code: when they are withdrawn, and what is reported of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.utils import timezone
from shared_contracts.events import (
    AccessCodeEmailed,
    AccessCodeRestored,
    AccessCodeUndeliverable,
    UserSubscribed,
)

from access_codes.models import MailIntent

from . import writing
from .writing import Addressed


def write(events: Iterable[UserSubscribed], corrected: Mapping[UUID, str]) -> None:
    """Write the mail of each new code, in the transaction that issues the code.

    It goes to the address in `corrected`, if its subscription has one there.
    """
    writing.write(
        Addressed(
            event.subscription_id, corrected.get(event.subscription_id, event.email), event.test
        )
        for event in events
    )
    writing.wake_worker()


def write_restored(events: Iterable[AccessCodeRestored], why: str) -> None:
    """Write the mail of each restored code as one that may have been sent already.

    It is not sent unless an operator decides so (`manage.py mails`).
    """
    writing.write(
        (Addressed(event.subscription_id, event.email, event.test) for event in events),
        state=MailIntent.State.UNKNOWN,
        doubts=1,
        next_attempt_at=None,
        last_error=why,
    )


def facts(_: MailIntent) -> Mapping[str, Any]:
    """Nothing beside the code and the plan."""
    return {}


def why_withdrawn(intent: MailIntent) -> str:
    """Why the mail must not be sent any more; empty if it may be."""
    return "its subscription was cancelled" if intent.access_code.is_revoked else ""


def emailed(intent: MailIntent) -> AccessCodeEmailed:
    """The event that reports to the payment side that the mail server has accepted the mail."""
    return AccessCodeEmailed(subscription_id=intent.access_code_id, emailed_at=timezone.now())


def undeliverable(intent: MailIntent, reason: str) -> AccessCodeUndeliverable:
    """The event that reports to the payment side that the mail was given up."""
    return AccessCodeUndeliverable(
        subscription_id=intent.access_code_id, reason=reason[:300], failed_at=timezone.now()
    )
