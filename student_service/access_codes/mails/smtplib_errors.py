"""What the errors of Django's SMTP backend mean: those of smtplib.

| Error | Means |
|---|---|
| `SMTPRecipientsRefused` | refused, as its reply says (`refusals`) |
| `SMTPDataError` with a reply of class 4 or 5 | the same |
| `SMTPSenderRefused`, `SMTPHeloError`, `SMTPNotSupportedError` | away: none is taken |
| any other, such as `SMTPServerDisconnected` or `TimeoutError` | unknown: at which command? |
"""

from __future__ import annotations

import smtplib

from .attempt import Attempt, refused
from .dialogue import Reply
from .session import ServerUnavailable


def read(error: Exception) -> Attempt | None:
    """How the attempt ended; none if the error does not tell. Raises `ServerUnavailable`."""
    match error:
        case smtplib.SMTPRecipientsRefused():
            [(code, text)] = error.recipients.values()
            return refused(_reply(code, text), at="RCPT")
        case smtplib.SMTPDataError() if error.smtp_code // 100 in {4, 5}:
            return refused(_reply(error.smtp_code, error.smtp_error), at=".")
        case smtplib.SMTPSenderRefused() | smtplib.SMTPHeloError():
            reply = _reply(error.smtp_code, error.smtp_error)
            raise ServerUnavailable(str(reply), reply)
        case smtplib.SMTPNotSupportedError():
            raise ServerUnavailable(str(error), kind=5)
    return None


def refusal(error: Exception) -> tuple[Reply | None]:
    """The reply by which a server refused to begin, if it did."""
    if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code // 100 in {4, 5}:
        return (_reply(error.smtp_code, error.smtp_error),)
    return (None,)


def _reply(code: int, text: bytes | str) -> Reply:
    return Reply(code, [text if isinstance(text, bytes) else text.encode()])
