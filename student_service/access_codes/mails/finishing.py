"""What the end of an attempt means for the mail: it is done, due again later, or in doubt."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from admit_one.contract import Envelope
from admit_one.logs import EventLogger
from admit_one.messaging import publish
from admit_one.processes.backoff import next_delay
from django.conf import settings
from django.db import transaction

from access_codes import metrics
from access_codes.models import MailIntent

from . import access_code_mail
from .attempt import Attempt, Ending

logger = EventLogger(__name__)

MOST_ATTEMPTS = 20
FIRST_PAUSE = 30.0
LONGEST_PAUSE = 6 * 3600.0
"""Seconds. Doubling from the first to the longest, 20 attempts take about two days."""


@transaction.atomic(savepoint=False)
def finish(intent: MailIntent, attempt: Attempt, *, first_pause: float = FIRST_PAUSE) -> None:
    """Write down how an attempt ended, unless the mail is another worker's by now."""
    if attempt.ending is not Ending.SENT:
        logger.warning(
            "mail_not_sent",
            "mail {mail} {ending}: {answer}",
            mail=intent.message_id,
            ending=attempt.ending.name.lower(),
            answer=attempt.answer,
        )
    if _write_down(intent, attempt, first_pause):
        _count(intent)
    else:
        logger.warning(
            "mail_taken_over",
            "mail {mail}: another worker took it over after the lease ended",
            mail=intent.message_id,
        )


def withdraw(intent: MailIntent, reason: str) -> None:
    """Finish a mail that must not be sent any more. Whoever caused that needs no report of it."""
    intent.withdraw(reason)
    _count(intent)


def suppress(intent: MailIntent) -> None:
    """Finish a mail whose recipient has had enough mails for now."""
    give_up(intent, intent.suppress, f"{settings.MAIL_DAILY_CAP} mails to this address in 24 hours")
    _count(intent)


def give_up(intent: MailIntent, finish_as: Callable[[str], bool], reason: str) -> bool:
    """Finish a mail that will not arrive and report that, in one transaction.

    `finish_as(reason)` writes it down. False if it could not, and then nothing is reported.
    """
    if not finish_as(reason):
        return False
    publish(Envelope.of(access_code_mail.undeliverable(intent, reason)))
    return True


def _write_down(intent: MailIntent, attempt: Attempt, first_pause: float) -> bool:
    """False if the mail is no longer ours."""
    lost = attempt.ending is Ending.LOST
    if attempt.ending is Ending.SENT:
        return intent.sent()
    if attempt.ending is Ending.REFUSED:
        return give_up(intent, intent.failed, attempt.answer)
    if lost and settings.MAIL_WHEN_UNKNOWN == "ask":
        return intent.doubt(attempt.answer, pause=None)
    if intent.attempts >= MOST_ATTEMPTS:
        reason = f"given up after {intent.attempts} attempts: {attempt.answer}"
        return give_up(intent, intent.failed, reason)
    pause = next_delay(intent.attempts, first=first_pause, most=LONGEST_PAUSE)
    return (intent.doubt if lost else intent.defer)(attempt.answer, pause)


def _count(intent: MailIntent) -> None:
    transaction.on_commit(partial(metrics.count_mail, intent))
