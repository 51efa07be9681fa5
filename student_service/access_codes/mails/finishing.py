"""Updates the row after an attempt: the mail is finished, due again later, or in doubt."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

from admit_one.logs import EventLogger
from admit_one.messaging import Envelope, publish
from admit_one.processes import next_delay
from django.conf import settings
from django.db import transaction

from access_codes import metrics
from access_codes.models import MailIntent, Terms

from . import access_code_mail
from .attempt import Attempt, Ending

logger = EventLogger(__name__)

MAX_ATTEMPTS = 20
FIRST_PAUSE = 30.0
LONGEST_PAUSE = 6 * 3600.0
"""Seconds. Doubling from the first to the longest pause, 20 attempts take about two days."""

CAP_PAUSE = 24 * 3600.0
"""Seconds; after it, none of the mails that made up the cap counts any more."""

LONGEST_CAPPED = timedelta(days=7)
"""From when a mail was written; a mailbox that is still over its cap then is being flooded."""

MAX_DOUBTS = 2
"""Copies of a mail that may have been sent; then an operator decides."""


@transaction.atomic(savepoint=False)
def finish(
    intent: MailIntent, attempt: Attempt, *, first_pause: float = FIRST_PAUSE, held: bool = False
) -> None:
    """Record how an attempt ended, unless another worker has taken the mail over.

    While the queue is `held`, a refusal of the sender costs the mail no attempt.
    """
    is_attempt = attempt.ending is not Ending.NOT_TRIED
    if is_attempt and attempt.ending is not Ending.SENT:
        logger.warning(
            "mail_not_sent",
            "mail {mail} {ending}: {answer}",
            mail=intent.message_id,
            ending=attempt.ending,
            answer=attempt.answer,
        )
    is_ours = _record(intent, attempt, first_pause, held=held)
    if is_attempt:
        (_count if is_ours else _log_taken_over)(intent)


def finish_all(ended: Iterable[tuple[MailIntent, Attempt]], *, held: bool) -> None:
    """The same for several mails. Runs in a transaction; if it fails, it may be repeated."""
    alike: list[MailIntent] = []
    for intent, attempt in ended:
        if attempt.ending is Ending.SENT and not intent.doubts and not attempt.provider_id:
            alike.append(intent)
        else:
            finish(copy.copy(intent), attempt, held=held)
    if alike:
        _finish_as_sent(alike)


def _finish_as_sent(intents: Sequence[MailIntent]) -> None:
    """Finish mails without doubts that the server has accepted, with a few statements for all."""
    ours = MailIntent.objects.finish_as_sent(intents)
    publish(*(Envelope.of(access_code_mail.emailed(each)) for each in ours if each.has_code))
    for intent in ours:
        _count(intent)
    for intent in set(intents).difference(ours):
        _log_taken_over(intent)


def withdraw(intent: MailIntent, reason: str) -> None:
    """Finish a mail that must not be sent any more, without a report to the payment side.

    If it says that a code expires soon, `look_again` must follow.
    """
    intent.withdraw(reason)
    _count(intent)


def look_again(codes: Collection[UUID]) -> None:
    """Have these codes looked at once more whose mails that they expire soon are withdrawn.

    What withdrew a mail may have ended in the meantime, and whoever looked then has still seen the
    mail.
    """
    if codes:  # in the order in which all lock terms, or two transactions could deadlock
        terms = Terms.objects.filter(pk__in=codes).order_by("pk").select_for_update()
        Terms.objects.filter(pk__in=[row.pk for row in terms]).update(expiry_noted=False)


def withhold(intent: MailIntent, reason: str) -> None:
    """Finish a mail of a test that must not be sent, without a report to the payment side."""
    intent.withhold(reason)
    _count(intent)


def stop(intent: MailIntent, reason: str) -> None:
    """Finish a mail whose mailbox must get no more, and report that it will not arrive."""
    _will_not_arrive(intent, intent.suppress, reason)
    logger.warning("mail_stopped", "mail {mail}: {reason}", mail=intent.message_id, reason=reason)
    _count(intent)


def over_cap(intent: MailIntent) -> None:
    """Let a mail wait whose mailbox has reached the daily cap: a day each time, at most a week."""
    reason = f"{settings.MAIL_DAILY_CAP} mails to this mailbox in 24 hours"
    if intent.was_written_before(LONGEST_CAPPED):
        reason += f", for {LONGEST_CAPPED.days} days"
        _will_not_arrive(intent, intent.suppress, reason)
    else:
        reason += "; it waits for a day"
        intent.defer(reason, CAP_PAUSE)
    logger.warning("mail_over_cap", "mail {mail}: {reason}", mail=intent.message_id, reason=reason)
    _count(intent)


def give_up(
    intent: MailIntent, finish_as: Callable[[str], bool], reason: str, *, reported: str = ""
) -> bool:
    """Finish a mail with `finish_as(reason)`, and report that no code will arrive with it.

    What is `reported` is for the client of the payment side; by default it is the reason.
    Returns false, and reports nothing, if `finish_as` did. Runs in a transaction.
    """
    if not finish_as(reason):
        return False
    if intent.has_code:
        publish(Envelope.of(access_code_mail.undeliverable(intent, reported or reason)))
    return True


def finish_as_sent(intent: MailIntent, note: str = "", provider_id: str = "") -> bool:
    """Finish a mail that the mail server has accepted, and report that, if it has the code.

    Returns false, and reports nothing, if another worker has taken it over. Runs in a transaction.
    """
    if not intent.sent(note, provider_id):
        return False
    if intent.has_code:
        publish(Envelope.of(access_code_mail.emailed(intent)))
    return True


def _record(intent: MailIntent, attempt: Attempt, first_pause: float, *, held: bool) -> bool:
    """Returns false if another worker has taken the mail over."""
    pause = next_delay(intent.attempts, first=first_pause, most=LONGEST_PAUSE)
    match attempt.ending:
        case Ending.SENT:
            return finish_as_sent(intent, provider_id=attempt.provider_id)
        case Ending.NOT_TRIED:
            return intent.release(pause=attempt.pause)
        case Ending.LOST:
            return intent.doubt(attempt.answer, pause if _another_copy(intent) else None)
        case Ending.REFUSED:
            return _will_not_arrive(intent, intent.failed, attempt.answer)
        case Ending.SENDER_REFUSED if held:
            return intent.release(attempt.answer, pause)
    return _defer(intent, attempt, pause)


def _defer(intent: MailIntent, attempt: Attempt, pause: float) -> bool:
    if intent.attempts >= MAX_ATTEMPTS:
        reason = f"given up after {intent.attempts} attempts: {attempt.answer}"
        return _will_not_arrive(intent, intent.failed, reason)
    return intent.defer(attempt.answer, pause)


def _another_copy(intent: MailIntent) -> bool:
    """Whether a mail that may have been sent now is to be sent again."""
    return (
        settings.MAIL_WHEN_UNKNOWN == "send_again"
        and intent.doubts_if_lost < MAX_DOUBTS
        and intent.attempts < MAX_ATTEMPTS
    )


def _will_not_arrive(intent: MailIntent, finish_as: Callable[[str], bool], reason: str) -> bool:
    """Give it up, unless an earlier copy may have arrived: then only an operator may do that."""
    if intent.may_have_arrived:
        return intent.leave_in_doubt(reason)
    return give_up(intent, finish_as, reason)


def _log_taken_over(intent: MailIntent) -> None:
    if MailIntent.objects.is_last_claim(intent):
        return  # it is written already: only the answer of the commit was lost
    logger.warning(
        "mail_taken_over",
        "mail {mail}: another worker took it over after the lease ended",
        mail=intent.message_id,
    )


def _count(intent: MailIntent) -> None:
    transaction.on_commit(partial(metrics.count_mail, intent))
