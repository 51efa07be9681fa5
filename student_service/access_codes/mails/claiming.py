"""Which mail a worker takes next. Each claim is a commit of its own, so none is taken twice."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from django.conf import settings
from django.db import transaction

from access_codes.models import MailIntent

from . import access_code_mail, finishing
from .attempt import Attempt, Ending

WORKER_DIED = Attempt(Ending.LOST, "the worker that was sending it died")
FIRST_PAUSE_AFTER_DEATH = 1.0
"""Seconds; the dead worker's lease was a pause already."""


def claim_next(go_on: Callable[[], bool]) -> MailIntent | None:
    """The next mail to send, now this worker's; none if nothing is due or `go_on()` is false."""
    return _claim_next(go_on, _nothing)


def finish_and_claim_next(
    intent: MailIntent, attempt: Attempt, go_on: Callable[[], bool]
) -> MailIntent | None:
    """Finish an attempt and claim the next mail in one commit, so that a mail costs no second."""
    return _claim_next(go_on, partial(finishing.finish, intent, attempt))


def _claim_next(go_on: Callable[[], bool], first: Callable[[], None]) -> MailIntent | None:
    while True:
        with transaction.atomic():
            first()
            intent = MailIntent.objects.take(cap=settings.MAIL_DAILY_CAP) if go_on() else None
            if intent is None or _claim(intent):
                return intent
        first = _nothing


def _claim(intent: MailIntent) -> bool:
    """Claim the mail, unless it must not be sent now: then its row keeps why."""
    if intent.state == MailIntent.State.SENDING:
        finishing.finish(intent, WORKER_DIED, first_pause=FIRST_PAUSE_AFTER_DEATH)
    elif reason := access_code_mail.why_withdrawn(intent):
        finishing.withdraw(intent, reason)
    elif intent.capped:
        finishing.suppress(intent)
    else:
        # After twice the time that one mail may take, the worker that has it must be dead.
        intent.claim(lease=2.0 * settings.EMAIL_TIMEOUT)
        return True
    return False


def _nothing() -> None:
    """The first claim of a session finishes no mail before it."""
