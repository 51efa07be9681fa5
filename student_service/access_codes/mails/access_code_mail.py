"""The mail with an access code: its text, when it is withdrawn, and what its failure means.

It is the only kind of mail; all that is specific to it is here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from unicodedata import normalize
from uuid import UUID

from django.template.loader import render_to_string
from django.utils import timezone
from shared_contracts.events import (
    AccessCodeEmailed,
    AccessCodeRestored,
    AccessCodeUndeliverable,
)

from access_codes.models import MailIntent

from . import writing
from .composing import Letter

SUBJECT = "Your access code"
"""Fixed, so that the address is the only user input in the headers."""

LINK = re.compile(r"[:/\\@]|[.\u3002][^\W\d_]{2}")
"""URLs, addresses, paths, and host names such as `evil.example`, but not `2.0`."""


def write(addressed: Iterable[tuple[UUID, str]]) -> None:
    """Write the mail of each new code to its address, in the transaction that issues the code."""
    writing.write(addressed)
    writing.wake_worker()


def write_restored(events: Iterable[AccessCodeRestored], why: str) -> None:
    """Write the mail of each restored code as one that may have been sent already.

    It is not sent unless an operator decides so (`manage.py mails`).
    """
    writing.write(
        ((event.subscription_id, event.email) for event in events),
        state=MailIntent.State.UNKNOWN,
        doubts=1,
        next_attempt_at=None,
        last_error=why,
    )


def letter(code: str, plan: str) -> Letter:
    """Without the plan, if what was reported does not look like the name of a plan."""
    context = {"code": code, "plan": plan if _is_a_name(plan) else ""}
    return Letter(
        subject=SUBJECT,
        text=render_to_string("access_codes/mail.txt", context),
        html=render_to_string("access_codes/mail.html", context),
    )


def _is_a_name(plan: str) -> bool:
    """Whether no program that shows mails would make a link of it, or show it in another order.

    It stands in a mail from our own domain, whoever published the event.
    """
    return plan.isprintable() and LINK.search(normalize("NFKC", plan)) is None


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
