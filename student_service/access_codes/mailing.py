"""Mails are written with their codes, sent one at a time, and settled: no mail is left in doubt."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial

from django.conf import settings
from django.db import transaction
from shared_contracts.events import UserSubscribed
from shared_contracts.messaging import bulk, sealing, wake
from shared_contracts.messaging.backoff import next_delay
from uuid_utils.compat import uuid7

from . import mail
from .models import RECIPIENT_PURPOSE, MailIntent
from .outage import Outage

logger = logging.getLogger(__name__)

MOST_ATTEMPTS = 20
FIRST_PAUSE = 30.0
FIRST_PAUSE_AFTER_DEATH = 1.0  # of the worker: its lease was a pause already
LONGEST_PAUSE = 6 * 3600.0
"""Doubling from the first to the longest, 20 attempts take about two days."""

outage = Outage()


def intend(events: Iterable[UserSubscribed]) -> None:
    """Write the mail of each event's new code, in the transaction that issues the code."""
    domain = mail.domain()
    rows = []
    for event in events:
        intent_id = uuid7()
        rows.append(
            {
                "id": intent_id,
                "access_code_id": event.subscription_id,
                "message_id": f"<{intent_id}@{domain}>",
                "recipient": sealing.seal(event.email.encode(), RECIPIENT_PURPOSE),
                "recipient_hash": sealing.lookup_hash(
                    event.email.lower(), settings.CODE_LOOKUP_KEY
                ),
            }
        )
    bulk.insert(MailIntent, rows)
    wake.task("student_service.send_pending_mails")


def send_due_mails(go_on: Callable[[], bool]) -> int:
    """Send the mails that are due, one at a time, until none is left or `go_on()` is false.

    Returns how many were settled one way or another. Several workers may do this at once.
    """
    settled = 0
    while go_on() and not outage.resting and MailIntent.objects.due().exists():
        try:
            with mail.Connection() as connection:
                done = _send_over(connection, go_on)
        except mail.ServerAway as away:
            outage.begin(str(away))
            break
        settled += done
        if not done:  # what was due is in another worker's hands
            break
    return settled


def _send_over(connection: mail.Connection, go_on: Callable[[], bool]) -> int:
    settled = 0
    intent = _settle_and_claim(None, go_on)
    while intent is not None:
        try:
            outcome = _send(connection, intent)
        except mail.ServerAway:
            intent.release()
            if not settled:
                raise
            break  # servers end a connection after some mails: a new one will tell
        settled += 1
        if outcome.result in {mail.Result.DROPPED, mail.Result.LOST}:
            # One mail's attempt says enough of a server in trouble.
            outage.begin(outcome.answer)
            _settle(intent, outcome)
            break
        outage.end()
        intent = _settle_and_claim(partial(_settle, intent, outcome), go_on)
    return settled


def _settle_and_claim(
    settle: Callable[[], None] | None, go_on: Callable[[], bool]
) -> MailIntent | None:
    """Write down what became of the mail in hand and take the next one, in one commit."""
    while True:
        with transaction.atomic():
            if settle is not None:
                settle()
                settle = None
            intent = MailIntent.objects.take() if go_on() else None
            if intent is None or _claim(intent):
                return intent


def _claim(intent: MailIntent) -> bool:
    """Whether this mail is to be sent now, and by us."""
    if intent.state == MailIntent.State.SENDING:
        lost = mail.Outcome(mail.Result.LOST, "the worker that was sending it ended")
        _settle(intent, lost, first_pause=FIRST_PAUSE_AFTER_DEATH)
        return False
    if MailIntent.objects.tried_today(intent, settings.MAIL_DAILY_CAP) >= settings.MAIL_DAILY_CAP:
        intent.suppress(f"{settings.MAIL_DAILY_CAP} mails to this address in 24 hours are enough")
        return False
    # After twice the time that one mail may take, the worker that has it must be dead.
    intent.claim(lease=2.0 * settings.EMAIL_TIMEOUT)
    return True


def _send(connection: mail.Connection, intent: MailIntent) -> mail.Outcome:
    try:
        composed = mail.compose(
            address=intent.address,
            message_id=intent.message_id,
            code=intent.access_code.code,
            plan=intent.access_code.plan,
        )
    except ValueError:
        return mail.Outcome(mail.Result.REFUSED, "its address cannot be written in a mail")
    except sealing.Unsealable as error:
        return mail.Outcome(mail.Result.PUT_OFF, str(error))
    return connection.send(composed)


def _settle(intent: MailIntent, outcome: mail.Outcome, *, first_pause: float = FIRST_PAUSE) -> None:
    if outcome.result is mail.Result.SENT:
        intent.sent()
        return
    logger.warning("mail %s: %s: %s", intent.message_id, outcome.result.name, outcome.answer)
    if outcome.result is mail.Result.REFUSED:
        intent.failed(outcome.answer)
    elif intent.attempts >= MOST_ATTEMPTS:
        intent.failed(f"given up after {intent.attempts} attempts: {outcome.answer}")
    else:
        pause = next_delay(intent.attempts, first=first_pause, most=LONGEST_PAUSE)
        intent.put_off(outcome.answer, pause, maybe_sent=outcome.result is mail.Result.LOST)
