"""What each way to hand over mails is, whether by our SMTP or by a backend of Django's.

A mail that is handed over ends in one of four ways, of which an `Attempt` says more:

taken     the server has it (SENT)
refused   it does not take this one: never (REFUSED), or not now (DEFERRED, SENDER_REFUSED)
away      it has not got it, and takes none (`ServerUnavailable`), or broke off (DROPPED)
          (NOT_TRIED if it is our fault: the lease was lost before the hand-over)
unknown   it has got it or not (LOST): only what certainly came before the hand-over is not this
"""

from __future__ import annotations

from typing import Protocol, Self

from admit_one.masking import harmless

from .attempt import Attempt
from .composing import Mail
from .dialogue import Reply
from .lease import Lease

LONGEST = 300
"""Characters of an error that are kept."""


class ServerUnavailable(Exception):
    """The mail server accepts no mail at all, whoever the recipient is.

    `reply` is its refusal, if it refused, and `kind` the class of it: 4 for now, 5 for good, and 0
    if it gave no answer.
    """

    def __init__(self, reason: str, reply: Reply | None = None, kind: int = 0) -> None:
        super().__init__(reason)
        self.reply = reply
        self.kind = kind if reply is None else reply.kind


class Session(Protocol):
    """Hands over many mails, one after another. Making one may raise `ServerUnavailable`."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: object, *_: object) -> None: ...

    def send(self, mail: Mail, lease: Lease) -> Attempt:
        """Hand over one mail, and keep its lease meanwhile. Raises `ServerUnavailable`."""
        ...


def said(error: BaseException) -> str:
    """An error in one masked line."""
    return harmless(f"{type(error).__name__}: {error}")[:LONGEST]
