"""Mails are written with their codes, sent one at a time, and settled: no mail is left in doubt."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from admit_one.contract.envelope import Envelope
from admit_one.database import bulk
from admit_one.masking import mask
from admit_one.messaging import outbox, wake
from admit_one.processes.backoff import next_delay
from admit_one.sealing import cipher
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from shared_contracts.events import AccessCodeRestored, AccessCodeUndeliverable, UserSubscribed
from uuid_utils.compat import uuid7

from access_codes import metrics
from access_codes.models import RECIPIENT_PURPOSE, MailIntent

from . import smtp
from .outage import Outage

logger = logging.getLogger(__name__)

MOST_ATTEMPTS = 20
FIRST_PAUSE = 30.0
FIRST_PAUSE_AFTER_DEATH = 1.0  # of the worker: its lease was a pause already
LONGEST_PAUSE = 6 * 3600.0
"""Doubling from the first to the longest, 20 attempts take about two days."""

outage = Outage()

State = MailIntent.State


def intend(events: Iterable[UserSubscribed]) -> None:
    """Write the mail of each event's new code, in the transaction that issues the code."""
    bulk.insert(MailIntent, _rows(events))
    wake.task("student_service.send_pending_mails")


def remember(events: Iterable[AccessCodeRestored], why: str) -> None:
    """Write the mail of each event's restored code as one that may have been sent.

    Nothing sends it by itself; `manage.py mails` settles it.
    """
    doubt = {"state": State.UNKNOWN, "doubts": 1, "next_attempt_at": None, "last_error": why}
    bulk.insert(MailIntent, [row | doubt for row in _rows(events)])


def _rows(events: Iterable[UserSubscribed | AccessCodeRestored]) -> list[dict[str, Any]]:
    domain = smtp.domain()
    rows = []
    for event in events:
        intent_id = uuid7()
        rows.append(
            {
                "id": intent_id,
                "access_code_id": event.subscription_id,
                "message_id": f"<{intent_id}@{domain}>",
                "recipient": cipher.seal(event.email.encode(), RECIPIENT_PURPOSE),
                "recipient_hash": recipient_hash(event.email),
            }
        )
    return rows


def recipient_hash(address: str) -> bytes:
    """The keyed hash by which the mails of an address are counted."""
    return cipher.lookup_hash(address.lower(), settings.CODE_LOOKUP_KEY)


def send_due_mails(go_on: Callable[[], bool]) -> int:
    """Send the mails that are due, one at a time, until none is left or `go_on()` is false.

    Returns how many were settled one way or another. Several workers may do this at once.
    """
    settled = 0
    while go_on() and not outage.resting and MailIntent.objects.due().exists():
        try:
            with smtp.Connection() as connection:
                done = _send_over(connection, go_on)
        except smtp.ServerAway as away:
            outage.begin(str(away))
            break
        settled += done
        if not done:  # what was due is in another worker's hands
            break
    return settled


def _send_over(connection: smtp.Connection, go_on: Callable[[], bool]) -> int:
    settled = 0
    intent = _settle_and_claim(None, go_on)
    while intent is not None:
        try:
            outcome = _send(connection, intent)
        except smtp.ServerAway:
            intent.release()
            if not settled:
                raise
            break  # servers end a connection after some mails: a new one will tell
        settled += 1
        if outcome.result in {smtp.Result.DROPPED, smtp.Result.LOST}:
            # One mail's attempt says enough of a server in trouble.
            outage.begin(outcome.answer)
            with transaction.atomic():
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
            intent = MailIntent.objects.take(cap=settings.MAIL_DAILY_CAP) if go_on() else None
            if intent is None or _claim(intent):
                return intent


def _claim(intent: MailIntent) -> bool:
    """Whether this mail is to be sent now, and by us."""
    if intent.state == MailIntent.State.SENDING:
        lost = smtp.Outcome(smtp.Result.LOST, "the worker that was sending it ended")
        _settle(intent, lost, first_pause=FIRST_PAUSE_AFTER_DEATH)
        return False
    if intent.access_code.is_revoked:
        # The payment side knows, so it is not told of a mail that was given up.
        intent.withdraw("its subscription was cancelled")
        transaction.on_commit(partial(metrics.mail_settled, intent))
        return False
    if intent.capped:
        _give_up(
            intent, intent.suppress, f"{settings.MAIL_DAILY_CAP} mails to this address in 24 hours"
        )
        transaction.on_commit(partial(metrics.mail_settled, intent))
        return False
    # After twice the time that one mail may take, the worker that has it must be dead.
    intent.claim(lease=2.0 * settings.EMAIL_TIMEOUT)
    return True


def _send(connection: smtp.Connection, intent: MailIntent) -> smtp.Outcome:
    try:
        composed = smtp.compose(
            address=intent.address,
            message_id=intent.message_id,
            code=intent.access_code.code,
            plan=intent.access_code.plan,
        )
    except ValueError:
        return smtp.Outcome(smtp.Result.REFUSED, "its address cannot be written in a mail")
    except cipher.Unsealable as error:
        return smtp.Outcome(smtp.Result.PUT_OFF, str(error))
    return connection.send(composed)


def _settle(intent: MailIntent, outcome: smtp.Outcome, *, first_pause: float = FIRST_PAUSE) -> None:
    if outcome.result is not smtp.Result.SENT:
        logger.warning("mail %s: %s: %s", intent.message_id, outcome.result.name, outcome.answer)
    if _note(intent, outcome, first_pause):
        transaction.on_commit(partial(metrics.mail_settled, intent))
    else:
        logger.warning("mail %s: settled by somebody else meanwhile", intent.message_id)


def _note(intent: MailIntent, outcome: smtp.Outcome, first_pause: float) -> bool:
    """Write it down; returns whether the mail was still ours."""
    lost = outcome.result is smtp.Result.LOST
    if outcome.result is smtp.Result.SENT:
        return intent.sent()
    if outcome.result is smtp.Result.REFUSED:
        return _give_up(intent, intent.failed, outcome.answer)
    if lost and settings.MAIL_WHEN_UNKNOWN == "ask":
        return intent.doubt(outcome.answer, pause=None)
    if intent.attempts >= MOST_ATTEMPTS:
        reason = f"given up after {intent.attempts} attempts: {outcome.answer}"
        return _give_up(intent, intent.failed, reason)
    pause = next_delay(intent.attempts, first=first_pause, most=LONGEST_PAUSE)
    return (intent.doubt if lost else intent.put_off)(outcome.answer, pause)


def _give_up(intent: MailIntent, settle: Callable[[str], bool], reason: str) -> bool:
    """Settle a mail that will not arrive, and tell the payment side, in one transaction."""
    if not settle(reason):
        return False
    told = AccessCodeUndeliverable(
        subscription_id=intent.access_code_id, reason=reason[:300], failed_at=timezone.now()
    )
    outbox.publish(Envelope.of(told))
    return True


SETTLEMENTS: Mapping[str, tuple[State, ...]] = {
    "arrived": (State.UNKNOWN, State.PENDING, State.FAILED),
    "send-again": (State.UNKNOWN, State.FAILED, State.SUPPRESSED),
    "give-up": (State.UNKNOWN, State.PENDING),
}
"""What an operator may say of a mail, and of a mail in which states."""


class NotSettled(Exception):
    """What an operator wants is not possible; the text says why."""


@transaction.atomic
def settle_by_hand(intent_id: UUID, settlement: str, *, by: str, reason: str) -> None:
    """Do one of `SETTLEMENTS` with a mail. Raises `NotSettled`, also while it is being sent."""
    intent = MailIntent.objects.select_for_update().filter(pk=intent_id).first()
    if intent is None:
        raise NotSettled(f"there is no mail {intent_id}")
    allowed = SETTLEMENTS[settlement]
    if intent.state not in allowed:
        states = " or ".join(allowed)
        raise NotSettled(f"mail {intent_id} is {intent.state}; {settlement} is for {states}")
    note = mask(f"{settlement} by {by}: {reason}")
    logger.warning("mail %s: %s", intent.message_id, note)
    if settlement == "arrived":
        intent.arrived(note)
    elif settlement == "send-again":
        intent.send_again(note)
        wake.task("student_service.send_pending_mails")
    else:
        _give_up(intent, intent.failed, note)
