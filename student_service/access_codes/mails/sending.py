"""A worker sends the mails that are due: claim one, attempt it, finish it, claim the next."""

from __future__ import annotations

from collections.abc import Callable

from admit_one.sealing import cipher

from access_codes.models import MailIntent

from . import access_code_mail, claiming, finishing, smtp
from .attempt import Attempt, Ending
from .composing import compose
from .outage import Outage

outage = Outage()
"""What this process knows of the mail server."""


def send_due_mails(go_on: Callable[[], bool]) -> int:
    """Send the mails that are due, one at a time, until none is left or `go_on()` is false.

    Returns the number of attempts that ended, in whatever way. Several workers may do this at once.
    """
    attempts = 0
    while go_on() and not outage.resting and MailIntent.objects.due().exists():
        try:
            with smtp.SmtpSession() as session:
                made = _send_over(session, go_on)
        except smtp.ServerAway as away:
            outage.begin(str(away))
            break
        attempts += made
        if not made:  # other workers hold what was due
            break
    return attempts


def _send_over(session: smtp.SmtpSession, go_on: Callable[[], bool]) -> int:
    attempts = 0
    intent = claiming.claim_next(go_on)
    while intent is not None:
        try:
            attempt = _attempt(session, intent)
        except smtp.ServerAway:
            intent.release()
            if not attempts:
                raise
            break  # some servers end a session after a few mails: a new one shows what is wrong
        attempts += 1
        if attempt.connection_broke:
            # This one attempt shows that the server is in trouble: leave it alone.
            outage.begin(attempt.answer)
            finishing.finish(intent, attempt)
            break
        outage.end()
        intent = claiming.finish_and_claim_next(intent, attempt, go_on)
    return attempts


def _attempt(session: smtp.SmtpSession, intent: MailIntent) -> Attempt:
    try:
        letter = access_code_mail.letter(intent.access_code.code, intent.access_code.plan)
        mail = compose(letter, address=intent.address, message_id=intent.message_id)
    except ValueError:
        return Attempt(Ending.REFUSED, "its address cannot be written in a mail")
    except cipher.Unsealable as error:
        return Attempt(Ending.DEFERRED, str(error))
    return session.send(mail)
