"""Bugs, and other errors of our own, are logged with a traceback, and cost no other mail."""

from __future__ import annotations

from admit_one.logs import EventLogger

from access_codes.models import MailIntent

from .session import said

logger = EventLogger(__name__)

PAUSE = 60.0
"""Seconds that a mail waits after such an error, if it was not handed over."""


def log(intent: MailIntent, error: BaseException) -> str:
    """Log that this mail cannot be handled; returns the error in one line."""
    logger.error(
        "mail_cannot_be_handled",
        "mail {mail} cannot be handled because of a bug, and waits; other mails go on: {error}",
        mail=intent.message_id,
        error=said(error),
        exc_info=error,
    )
    return said(error)


def log_dropped(intent: MailIntent, ending: str, error: BaseException) -> None:
    """Log that the result of an attempt cannot be saved: the mail will be in doubt."""
    logger.error(
        "mail_result_dropped",
        "mail {mail}: the result of its attempt, {ending}, cannot be saved: {error}",
        mail=intent.message_id,
        ending=ending,
        error=said(error),
        exc_info=error,
    )


def log_connecting(error: BaseException) -> None:
    """Log that no connection can be made because of a bug."""
    logger.error(
        "mail_connection_failed",
        "cannot connect to the mail server because of a bug: {error}",
        error=said(error),
        exc_info=error,
    )
