"""The worst moments to die: between two steps that no transaction holds together.

The names are those of our own functions, as text: a process under chaos patches them in itself
(see `child`), and the product knows nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

RELAYS = ("payment-relay", "student-relay")
CONSUMERS = ("payment-consumer", "student-consumer")

MAILS_AT_ONCE = 2
"""So many has the mail worker in hand: each may be between the mail server's yes and the commit."""


@dataclass(frozen=True)
class Moment:
    """Right before or right after a call of `function` in `module`, in one of `processes`."""

    title: str
    processes: tuple[str, ...]
    module: str
    function: str
    before: bool = False
    doubles_mails: int = 0
    """How many of the mails in hand may then come a second time."""


MOMENTS = {
    "committed": Moment(
        "after commit, before anybody is told",
        ("payment-web",),
        "admit_one.database.wake_up",
        "notify",
        before=True,
    ),
    "unpublished": Moment(
        "after commit, before publish",
        RELAYS,
        "admit_one.messaging.outgoing.publisher",
        "Publisher.publish",
        before=True,
    ),
    "unmarked": Moment(
        "after publish, before mark",
        RELAYS,
        "admit_one.messaging.outgoing.publisher",
        "Publisher.publish",
    ),
    "uncommitted": Moment(
        "after handler, before commit",
        CONSUMERS,
        "admit_one.messaging.inbox",
        "process",
    ),
    "unacked": Moment(
        "after commit, before ack",
        CONSUMERS,
        "admit_one.messaging.incoming.consumer",
        "BatchConsumer._settle",
    ),
    "unsent": Moment(
        "after claim, before SMTP",
        ("student-tasks",),
        "access_codes.mails.smtp",
        "SmtpSession.send",
        before=True,
        doubles_mails=MAILS_AT_ONCE - 1,
    ),
    "unwritten": Moment(
        "after SMTP's yes, before commit",
        ("student-tasks",),
        "access_codes.mails.smtp",
        "SmtpSession.send",
        doubles_mails=MAILS_AT_ONCE,
    ),
}


def trap(folder: Path, process: str, moment: str) -> Path:
    """The file that makes `process` die at `moment`, once: whoever removes it dies."""
    return folder / "traps" / f"{process}.{moment}"
