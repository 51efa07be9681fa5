"""How one attempt to hand over a mail ends: few endings, a closed set."""

from __future__ import annotations

import smtplib
from enum import Enum, auto
from typing import NamedTuple

from admit_one.masking import mask


class Ending(Enum):
    SENT = auto()  # the server took it
    DEFERRED = auto()  # the server does not take it now (4xx): try again later
    REFUSED = auto()  # the server will never take it (5xx)
    DROPPED = auto()  # the connection broke before the content was sent
    LOST = auto()  # the connection broke before the content was answered: sent, or not


class Attempt(NamedTuple):
    """How it ended, and what the server answered or which error it was."""

    ending: Ending
    answer: str

    @property
    def connection_broke(self) -> bool:
        return self.ending in {Ending.DROPPED, Ending.LOST}


def answered(code: int, text: bytes | str) -> Attempt:
    """The ending that a server's answer means."""
    endings = {2: Ending.SENT, 5: Ending.REFUSED}
    return Attempt(endings.get(code // 100, Ending.DEFERRED), f"{code} {one_line(text)}")


def describe(error: Exception) -> str:
    """An SMTP or network error on one line, without addresses."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {one_line(error.smtp_error)}"
    return f"{type(error).__name__}: {mask(str(error))}"


def one_line(text: bytes | str) -> str:
    """A server's answer on one line, without the address that servers like to repeat."""
    decoded = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return mask(" ".join(decoded.split()))
