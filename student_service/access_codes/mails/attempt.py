"""The outcome of one attempt to send a mail."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from . import refusals
from .dialogue import Reply
from .refusals import Means

AGAIN = 1.0
"""Seconds that a mail waits if there were too many connections, or its lease might have ended."""


class Ending(Enum):
    SENT = auto()  # the server took it: 2yz to the final dot, and nothing else ever
    DEFERRED = auto()  # the server does not take it now: try again later
    SENDER_REFUSED = auto()  # the server may refuse us, not the recipient: try again later
    TOO_MANY = auto()  # the server takes fewer mails at a time: try again later
    REFUSED = auto()  # the server will never take it, because of its recipient
    NOT_TRIED = auto()  # the server took no mail, or this one may be another worker's: not counted
    DROPPED = auto()  # the dialogue broke before the server had all of it
    LOST = auto()  # the dialogue broke after that: sent, or not

    def __str__(self) -> str:
        return self.name.lower().replace("_", " ")


class Attempt(NamedTuple):
    """How it ended, and what the server answered or which error it was."""

    ending: Ending
    answer: str
    domain: str = ""
    """The recipient's; empty if the server was not asked."""
    kind: str = ""
    """Which refusals of the sender are the same one."""
    provider_id: str = ""
    """What the provider calls the mail that it has taken."""
    pause: float = 0.0
    """Seconds until it is due again, if it was not tried."""

    @property
    def connection_broke(self) -> bool:
        """Also by a 421, with which a server that shuts down defers whatever mail it is at."""
        if self.ending is Ending.DEFERRED:
            return self.kind.startswith("421")
        return self.ending in {Ending.DROPPED, Ending.LOST}


ENDINGS = {
    Means.RECIPIENT: Ending.REFUSED,
    Means.LATER: Ending.DEFERRED,
    Means.SENDER: Ending.SENDER_REFUSED,
    Means.TOO_MANY: Ending.TOO_MANY,
}


def refused(reply: Reply, at: str) -> Attempt:
    """What a refusal means, as the answer to the command `at`. It never means that it was sent."""
    refusal = refusals.read(reply.code, reply.text, at)
    return Attempt(ENDINGS[refusal.means], str(reply), kind=refusal.kind)
