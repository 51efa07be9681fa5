"""What fails by a fault of ours is logged with its traceback, and costs no other mail."""

from __future__ import annotations

from admit_one.logs import EventLogger

from access_codes.models import MailIntent

from .session import said

logger = EventLogger(__name__)

PAUSE = 60.0
"""Seconds that a mail waits that met a fault of ours before it was handed over."""


def log(intent: MailIntent, error: BaseException) -> str:
    """Log that this mail meets a fault of ours; returns the fault in one line."""
    logger.error(
        "mail_cannot_be_handled",
        "mail {mail} meets a fault of ours, and the others go on: {error}",
        mail=intent.message_id,
        error=said(error),
        exc_info=error,
    )
    return said(error)


def log_dropped(intent: MailIntent, ending: str, error: BaseException) -> None:
    """Log that nothing can write how the attempt ended: its lease ends, and it is in doubt."""
    logger.error(
        "mail_result_dropped",
        "mail {mail}: its attempt ended as {ending}, which cannot be written: {error}",
        mail=intent.message_id,
        ending=ending,
        error=said(error),
        exc_info=error,
    )


def log_connecting(error: BaseException) -> None:
    """Log that no connection can be made by a fault of ours."""
    logger.error(
        "mail_connection_failed",
        "connecting to the mail server meets a fault of ours: {error}",
        error=said(error),
        exc_info=error,
    )
