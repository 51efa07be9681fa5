"""The mail that carries an access code: what it says, when it is withdrawn, what its failure means.

It is the only kind there is. What is true of this kind alone stands here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.template.loader import render_to_string
from django.utils import timezone
from shared_contracts.events import AccessCodeRestored, AccessCodeUndeliverable, UserSubscribed

from access_codes.models import MailIntent

from . import writing
from .composing import Letter

SUBJECT = "Your access code"
"""Fixed: the address is the only thing a user typed that ever stands in a header."""


def write(events: Iterable[UserSubscribed]) -> None:
    """Write the mail of each new code, in the transaction that issues the code."""
    writing.write((event.subscription_id, event.email) for event in events)
    writing.wake_worker()


def write_restored(events: Iterable[AccessCodeRestored], why: str) -> None:
    """Write the mail of each restored code as one that may have been sent already.

    Nothing sends it by itself; an operator decides (`manage.py mails`).
    """
    writing.write(
        ((event.subscription_id, event.email) for event in events),
        state=MailIntent.State.UNKNOWN,
        doubts=1,
        next_attempt_at=None,
        last_error=why,
    )


def letter(code: str, plan: str) -> Letter:
    """What the recipient reads."""
    context = {"code": code, "plan": plan}
    return Letter(
        subject=SUBJECT,
        text=render_to_string("access_codes/mail.txt", context),
        html=render_to_string("access_codes/mail.html", context),
    )


def why_withdrawn(intent: MailIntent) -> str:
    """Why the mail must not be sent any more; empty if it may be."""
    return "its subscription was cancelled" if intent.access_code.is_revoked else ""


def undeliverable(intent: MailIntent, reason: str) -> AccessCodeUndeliverable:
    """What the payment side learns when the mail is given up. The code itself stays good."""
    return AccessCodeUndeliverable(
        subscription_id=intent.access_code_id, reason=reason[:300], failed_at=timezone.now()
    )
