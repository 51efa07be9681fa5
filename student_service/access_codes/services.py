"""Every use case of the student service: issue codes, and see that their mails arrive."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from shared_contracts.envelope import Envelope
from shared_contracts.errors import Rejected
from shared_contracts.events import AccessCodeCreated, UserSubscribed
from shared_contracts.messaging import bulk, outbox, sealing, wake
from shared_contracts.messaging.backoff import next_delay
from uuid_utils.compat import uuid7

from . import codes, mail
from .models import CODE_PURPOSE, RECIPIENT_PURPOSE, AccessCode, MailIntent
from .outage import Outage

logger = logging.getLogger(__name__)

MOST_ATTEMPTS = 20
FIRST_PAUSE = 30.0
FIRST_PAUSE_AFTER_DEATH = 1.0  # of the worker: its lease was a pause already
LONGEST_PAUSE = 6 * 3600.0
"""Doubling from the first to the longest, 20 attempts take about two days."""

outage = Outage()


class Issued(NamedTuple):
    """A code and what its row says of it."""

    code: str
    user_id: str
    issued_at: datetime


def issue_access_codes(messages: Sequence[Envelope[UserSubscribed]]) -> list[Rejected]:
    """Give each subscription its one code, mail it, and reply with it.

    A subscription that has its code already gets the same reply again, and no mail.
    Runs in the inbox's transaction; returns the messages it refuses.
    """
    asked: dict[UUID, UserSubscribed] = {}
    for message in messages:
        asked.setdefault(message.data.subscription_id, message.data)
    issued = _issue(asked)
    replies, rejected = [], []
    for message in messages:
        event = message.data
        code, user_id, issued_at = issued[event.subscription_id]
        if event.user_id != user_id:
            reason = f"subscription {event.subscription_id} has its code for another user"
            rejected.append(Rejected(message, reason))
            continue
        reply = AccessCodeCreated(
            subscription_id=event.subscription_id,
            user_id=user_id,
            access_code=code,
            issued_at=issued_at,
        )
        replies.append(message.follow(reply))
    outbox.publish(*replies)
    return rejected


def _issue(asked: Mapping[UUID, UserSubscribed]) -> dict[UUID, Issued]:
    """New codes for those that have none, with their mails; the known ones for the others."""
    now = timezone.now()
    drafts = {subscription: codes.make() for subscription in sorted(asked)}
    new = {
        subscription
        for (subscription,) in bulk.insert_new(
            AccessCode,
            [_code_row(asked[subscription], code, now) for subscription, code in drafts.items()],
            conflict=["subscription_id"],
            returning=["subscription_id"],
        )
    }
    if new:
        _intend_mails(asked[subscription] for subscription in drafts if subscription in new)
    known = AccessCode.objects.in_bulk(asked.keys() - new) if len(new) < len(asked) else {}
    return {
        subscription: Issued(code, asked[subscription].user_id, now)
        for subscription, code in drafts.items()
        if subscription in new
    } | {
        subscription: Issued(row.code, row.user_id, row.issued_at)
        for subscription, row in known.items()
    }


def _code_row(event: UserSubscribed, code: str, now: datetime) -> dict[str, Any]:
    return {
        "subscription_id": event.subscription_id,
        "user_id": event.user_id,
        "plan": event.plan,
        "lookup_hash": codes.lookup(code),
        "sealed_code": sealing.seal(code.encode(), CODE_PURPOSE),
        "issued_at": now,
    }


def _intend_mails(events: Iterable[UserSubscribed]) -> None:
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
