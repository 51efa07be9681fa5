"""A worker sends the mails that are due: claim one, attempt it, finish it, claim the next.

Claims are committed before the attempt, so no two workers send the same mail.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from admit_one.masking import hiding
from admit_one.sealing import cipher
from django.conf import settings
from django.db import transaction

from access_codes.models import MailIntent

from . import again, finishing, handing_over, kinds, lease, stops, withholding
from .attempt import Attempt, Ending
from .composing import compose
from .lease import Lease
from .outage import Outage
from .session import ServerUnavailable, Session
from .templates import Unrenderable

WORKER_DIED = Attempt(Ending.LOST, "the worker that was sending it died")
FIRST_PAUSE_AFTER_DEATH = 1.0
"""Seconds; short, because the dead worker's lease was a pause already."""

outage = Outage()


def send_due_mails(go_on: Callable[[], bool]) -> int:
    """Send the mails that are due, one at a time, until none is left or `go_on()` is false.

    Returns the number of attempts. Several workers may do this at once.
    """
    attempts = 0
    while go_on() and not outage.rest and MailIntent.objects.due().exists():
        if not outage.admit():  # another thread tries for all
            break
        try:
            with handing_over.session() as session:
                made = _send_over(session, go_on)
        except ServerUnavailable as error:
            outage.unavailable(error)
            break
        attempts += made
        if not made:  # other workers have claimed what was due
            break
    return attempts


def _send_over(session: Session, go_on: Callable[[], bool]) -> int:
    attempts = 0
    intent = _claim_next(go_on)
    while intent is not None:
        try:
            attempt = _attempt(session, intent)
        except ServerUnavailable:
            intent.release()
            if not attempts:
                raise
            break  # some servers limit mails per session; a new session shows whether it is that
        attempts += 1
        outage.note(attempt)
        finish = partial(finishing.finish, intent, attempt, held=outage.held)
        if attempt.connection_broke or outage.held:
            # This one attempt shows that the server is in trouble: leave it alone.
            finish()
            break
        intent = _claim_next(go_on, finish)
    return attempts


def _claim_next(
    go_on: Callable[[], bool], finish: Callable[[], None] | None = None
) -> MailIntent | None:
    """Claim the next mail; none if nothing is due or `go_on()` is false.

    `finish` finishes the previous mail in the same transaction, which saves a commit.
    """
    while True:
        with transaction.atomic():
            if finish is not None:
                finish()
            intent = MailIntent.objects.take(cap=settings.MAIL_DAILY_CAP) if go_on() else None
            if intent is None or _claim(intent):
                return intent
        finish = None


def _claim(intent: MailIntent) -> bool:
    """Claim the mail. If it must not be sent now, record why and return false."""
    if intent.state == MailIntent.State.SENDING:
        finishing.finish(intent, WORKER_DIED, first_pause=FIRST_PAUSE_AFTER_DEATH)
    elif reason := kinds.of(intent).why_withdrawn(intent) or again.why_withdrawn(intent):
        finishing.withdraw(intent, reason)
    elif withholding.must_withhold(intent):
        finishing.withhold(intent, withholding.WHY)
    elif intent.stopped:
        finishing.stop(intent, stops.WHY[intent.stopped])
    elif intent.capped:
        finishing.over_cap(intent)
    else:
        intent.claim(lease.seconds())
        return True
    return False


def _attempt(session: Session, intent: MailIntent) -> Attempt:
    try:
        letter = kinds.letter(intent)
        mail = compose(letter, address=intent.address, message_id=intent.message_id)
    except ValueError:
        return Attempt(Ending.REFUSED, "its address is not valid in a mail")
    except (cipher.Unsealable, Unrenderable) as error:
        return Attempt(Ending.DEFERRED, str(error))
    with hiding(letter.secrets):  # a server may repeat what it has read
        return session.send(mail, Lease(intent))
